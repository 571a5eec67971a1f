#!/usr/bin/env python3
"""How many idle machines of a Python SDK server there are room for, what each takes, and how soon one that stands still answers.

density.py BERTH [MACHINES] [BYTES]: starts a Berth of its own (root), hosts mcp-server-time so often (100), and stops when their memory
together passes BYTES (8 GiB). Prints the number, proportional set sizes, and the times from a call to its answer, in milliseconds:
of a machine that runs, that is suspended, that is stopped. Nothing of it stays.
"""
import glob
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

berth, wanted, limit = sys.argv[1], int((sys.argv + ["", "", ""])[2] or 100), int((sys.argv + ["", "", ""])[3] or 8 << 30)
home = tempfile.mkdtemp(prefix="berth-density-", dir="/var/tmp")
state = home + "/state"
key = hashlib.sha256(state.encode()).hexdigest()[:10]


def run(*words, check=True):
    done = subprocess.run([berth, *words, "--state", state], capture_output=True, text=True)
    if check and done.returncode:
        sys.exit("%s: %s %s" % (" ".join(words), done.stdout[-500:], done.stderr[-2000:]))
    return done.stdout


def machines():
    return [m for m in json.loads(run("machines", "list", "--json"))["machines"] if m["state"] == "started"]


def processes():
    """The pids of every machine, by its cgroup."""
    found = {}
    for pid in glob.glob("/proc/[0-9]*"):
        try:
            path = open(pid + "/cgroup").read()
        except OSError:
            continue
        for line in path.splitlines():
            group = line.split(":", 2)[2]
            if group.startswith("/berth-" + key):
                found.setdefault(group, set()).add(int(pid[6:]))
    return found


def pss(pids):
    total = 0
    for pid in pids:
        try:
            for line in open("/proc/%d/smaps_rollup" % pid):
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) << 10
        except OSError:
            pass
    return total


def call():
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "convert_time", "arguments": {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
                  "io.modelcontextprotocol/clientInfo": {"name": "density", "version": "1"}}}}).encode()
    request = urllib.request.Request(url, body, {
        "Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "convert_time"})
    begin = time.monotonic()
    answer = urllib.request.urlopen(request, timeout=90).read()
    if b"T21:00:00" not in answer:
        sys.exit("no answer: %r" % answer[:500])
    return (time.monotonic() - begin) * 1000


def wait(state_wanted, machine):
    while not any(m["id"] == machine and m["state"] == state_wanted for m in json.loads(run("machines", "list", "--json"))["machines"]):
        time.sleep(0.05)


os.environ.pop("BERTH_STATE", None)
run("up", "--detach", "--listen", "127.0.0.1:18797", "--memory-budget", "100%")
try:
    begin = time.monotonic()
    run("connector", "add", "one", "--pypi", "mcp-server-time", "--memory", "128", "--arg", "--local-timezone", "--arg", "UTC")
    print("first connector: %.1f s" % (time.monotonic() - begin))
    run("vmcp", "create", "office", "one")
    answer = json.loads(run("token", "create", "--for", "ada", "--vmcp", "office", "--json"))
    url, token = answer["url"], answer["token"]
    call()
    times = {"running": [call() for _ in range(50)]}
    machine = machines()[0]["id"]
    for word, there in (("suspend", "suspended"), ("stop", "stopped")):
        times[there] = []
        for _ in range(10):
            run("machines", word, machine)
            wait(there, machine)
            times[there].append(call())
    for name, values in times.items():
        print("%-10s median %7.1f ms, longest %7.1f ms, of %d" % (name, statistics.median(values), max(values), len(values)))
    begin = time.monotonic()
    run("connector", "add", "many", "--pypi", "mcp-server-time", "--memory", "128", "--arg", "--local-timezone", "--arg", "UTC", "--min", str(wanted),
        "--max", str(max(wanted, 1)))
    last = 0
    while True:
        there = machines()
        if len(there) > wanted or time.monotonic() - begin > 1200:
            break
        if len(there) >= last + 20:
            last = len(there)
            print("%4d machines after %5.1f s" % (last, time.monotonic() - begin), flush=True)
            if sum(map(pss, processes().values())) > limit:
                break
        time.sleep(1)
    time.sleep(5)
    sizes = sorted(pss(pids) for pids in processes().values() if pids)
    print("%d machines after %.1f s: %.2f GiB together; each (PSS) median %.1f MiB, most %.1f MiB" % (
        len(sizes), time.monotonic() - begin, sum(sizes) / (1 << 30), statistics.median(sizes) / (1 << 20), sizes[-1] / (1 << 20)))
    print("with them    median %7.1f ms" % statistics.median(call() for _ in range(50)))
finally:
    subprocess.run([berth, "down", "--purge", "--yes", "--state", state], capture_output=True)
    subprocess.run(["rm", "-rf", home])
