"""Starts the fixture server, directly or behind `berth bridge`, and ends it."""

import contextlib
import os
import pathlib
import signal
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVERS = {
    "modern": (os.environ.get("PYTHON_MODERN") or str(ROOT / ".venv-mcp-2.3.0/bin/python"), "server.py"),
    "legacy": (os.environ.get("PYTHON_LEGACY") or str(ROOT / ".venv-mcp-1.30.0/bin/python"), "legacy_server.py"),
}
LIMIT = 240  # seconds for a whole run: a server that outlives it is ended


def url(text, stack):
    """The text if it is a URL; else starts what it names, to be ended with the stack."""
    way, _, era = text.partition(":")
    if way not in ("direct", "bridge"):
        return text
    python, script = SERVERS[era]
    command = [python, "-B", str(HERE / script)]
    if way == "direct":
        command.append("--http")
    else:
        bridge = os.environ.get("BERTH_BRIDGE") or str(ROOT / ".build/debug/berth")
        command = [bridge, "bridge", "--port", "0", "--", *command]
    return stack.enter_context(running(command))


@contextlib.contextmanager
def running(command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # what it says on standard error is the run's
    guard = threading.Timer(LIMIT, process.kill)
    guard.start()
    try:
        line = process.stdout.readline().split()
        if not line:
            raise SystemExit("%s did not start: status %s" % (command[0], process.wait()))
        # Read to its end, so that a server that prints more does not wait for us.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield line[0]
    finally:
        guard.cancel()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
