"""A server that does at its start what a machine refuses: it writes to the root, looks for its author's files, asks for a host by name and for one
by its number, makes a namespace, and tries to trace PID 1. Then it serves, or with the word `gives-up` it ends with 3. Its one tool tells what it saw.
"""
import ctypes
import json
import os
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
seen = []


def attempt(what, act):
    try:
        result = act()
        seen.append(what + (" was refused" if isinstance(result, int) and result < 0 else " was done"))
    except OSError:
        seen.append(what + " was refused")


attempt("write", lambda: open("/etc/berth-hindered.conf", "w"))
attempt("read", lambda: open("/home/author/settings.json"))
attempt("name", lambda: socket.getaddrinfo("api.hindered.example", 443))
attempt("number", lambda: socket.create_connection(("192.0.2.7", 443), 5))
attempt("unshare", lambda: libc.unshare(0x10000000))
attempt("trace", lambda: libc.ptrace(16, 1, None, None))
seen.append("asked" if any(name.startswith("BERTH_TRACE") for name in os.environ) else "unasked")
# What a server may write behind the mark is passed over.
print("berth-trace: host nowhere x\nberth-trace: \x1b[2J\nberth-trace: path", file=sys.stderr, flush=True)
if "gives-up" in sys.argv:
    sys.exit(3)

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "initialize":
        answer["result"] = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "hindered", "version": "1"}}
    elif message["method"] == "tools/list":
        answer["result"] = {"tools": [{"name": "seen", "description": ", ".join(seen), "inputSchema": {"type": "object"}}]}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
