"""A server whose tool takes as much memory as it is told to; with EAT_FIRST (MiB) in its environment it does so before it says anything."""
import json
import os
import sys

HELD = []


def take(mib):
    for _ in range(mib):
        HELD.append(os.urandom(1 << 20))
    return str(len(HELD))


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "eats", "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": "take", "inputSchema": {"type": "object"}}]}
    return {"content": [{"type": "text", "text": take(**(params.get("arguments") or {}))}]}


take(int(os.environ.get("EAT_FIRST", "0")))
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and "method" in message:
        result = answer(message["method"], message.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
