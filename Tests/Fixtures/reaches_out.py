"""A server whose tools call out: what comes of it is their answer."""
import json
import socket
import ssl
import sys


def fetch(host, port, address=None, tls=False, name=None, text="ping", seconds=60):
    """Connects to a host (or to an address in its place), says something, and answers what comes back until the end."""
    with socket.create_connection((address or host, port), timeout=seconds) as connection:
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection, server_hostname=name or host)
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR) if not tls else None
        answer = b""
        while part := connection.recv(65536):
            answer += part
            if tls: break
        return answer.decode()


def resolve(name):
    return sorted({found[4][0] for found in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)})


TOOLS = {"fetch": fetch, "resolve": resolve}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "out", "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    try:
        result = {"answer": TOOLS[params["name"]](**(params.get("arguments") or {}))}
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    return {"content": [{"type": "text", "text": json.dumps(result)}]}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        if message["method"] in ("initialize", "tools/list", "tools/call"):
            reply = {"result": answer(message["method"], message.get("params") or {})}
        else:
            reply = {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
