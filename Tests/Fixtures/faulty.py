"""A server with one fault, which its first argument names: what `berth test` must find."""
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import fixture

FAULT = sys.argv[1]
SCHEMAS = {
    "bad_schema": {"type": "object", "properties": {"a": {"type": "str"}, "b": {"$ref": "#/$defs/none"}}, "required": ["c"]},
    "bad_argument": {"type": "object", "properties": {"rule[]": {"type": "string"}}},
}
NAMES = {"long_name": "x" * 70, "bad_name": "get time"}


class Faulty(fixture.Server):
    def received(self, message):
        method = message.get("method")
        if FAULT == "dies_on_discover" and method == "server/discover":
            os._exit(1)
        if FAULT == "dies_on_cancel" and method == "notifications/cancelled":
            os._exit(1)
        if FAULT == "prints" and method == "tools/call":
            print("called a tool", flush=True)
        if FAULT == "prints_late" and method == "initialize":
            print("held until the end")
        super().received(message)

    def initialize(self, message):
        if FAULT == "no_version":
            return self.answer(message["id"], {
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "prompts": {}}, "serverInfo": {"name": "faulty"}})
        super().initialize(message)

    def other(self, message):
        if message.get("method") == "logging/setLevel":
            return self.answer(message["id"], {})
        super().other(message)

    def listing(self):
        if FAULT == "no_list":
            raise SystemExit(9)
        name = NAMES.get(FAULT, "wait")
        tools = [{"name": name, "description": "Waits.", "annotations": {"readOnlyHint": True},
                  "inputSchema": SCHEMAS.get(FAULT, {"type": "object"})}]
        if FAULT == "needs_env" and "API_KEY" not in os.environ:
            tools = []
        return {"tools": tools}


wait = fixture.TOOLS["wait"]
calls = itertools.count()
# What is cancelled or broken off must still be under way then, on a busy host too; for the first call of a process somebody waits.
fixture.TOOLS["wait"] = lambda call: wait(call, 60 if next(calls) else 0)
if FAULT == "rounds":
    fixture.TOOLS["wait"] = lambda call, number=0: json.dumps(float(number))
if FAULT == "leaves_child":
    child = subprocess.Popen(["sleep", sys.argv[3] if len(sys.argv) > 3 else "600"], start_new_session="daemon" in sys.argv)
if FAULT == "ends_child":
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
if FAULT == "never_the_same" and os.fork() == 0:
    # A daemon whose process is another every 2 ms, and holds a lock as long as it lives.
    held = os.open(sys.argv[2], os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.002)
    os._exit(0)
if FAULT == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if FAULT == "tells":
    def refuse(call):
        raise PermissionError("x" * int(sys.argv[2]) + os.environ["API_KEY"])
    fixture.TOOLS["wait"] = refuse
if FAULT == "one_only":
    lock = open(sys.argv[2], "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("another one holds the lock")
if FAULT == "chatty":
    sys.stderr.write("a line that says nothing\n" * 20000)
    sys.stderr.flush()
Faulty().run()
if FAULT == "ends_child":
    child.kill()
    child.wait()
if FAULT == "ends_late":
    time.sleep(2.5)
if FAULT in ("ignores_eof", "stubborn"):
    signal.pause()
