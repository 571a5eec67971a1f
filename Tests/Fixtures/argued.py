"""A STDIO server, the standard library alone: what it was told on its command line and in its environment, and what the kernel shows of that."""
import hashlib, json, os, sys


def answer(message):
    if message["method"] == "initialize":
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "argued", "version": "1"}}
    if message["method"] == "tools/list":
        return {"tools": [{"name": "told", "description": "What it was told, as hashes.", "inputSchema": {"type": "object"}}]}
    if message["method"] == "tools/call":
        told = [hashlib.sha256(word.encode()).hexdigest() for word in sys.argv[1:]]
        shown = open("/proc/self/cmdline", "rb").read()
        text = json.dumps({"argv": told, "shown": any(word.encode() in shown for word in sys.argv[1:] if len(word) > 8),
                           "key": hashlib.sha256(os.environ.get("API_KEY", "").encode()).hexdigest(), "name": os.path.basename(sys.argv[0])})
        return {"content": [{"type": "text", "text": text}]}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}), flush=True)
