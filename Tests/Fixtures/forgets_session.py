"""A server of the handshake revisions over HTTP that knows its first session no more when it is first called; prints its URL."""
import http.server
import json

sessions = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, message=None, headers=()):
        body = json.dumps(message).encode() if message else b""
        self.send_response(status)
        for name, value in [("content-type", "application/json"), ("content-length", str(len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, session = message.get("method"), self.headers.get("mcp-session-id")
        if method == "initialize":
            sessions.append("session-%d" % (len(sessions) + 1))
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "forgetful", "version": "1"}}
            self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, [("mcp-session-id", sessions[-1])])
        elif session is None:
            self.reply(400, {"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": -32600, "message": "no session"}})
        elif "id" not in message:
            self.reply(202)
        elif session == "session-1":
            self.reply(404, {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32001, "message": "Session not found"}})
        else:
            self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": session}]}})

    def do_GET(self):
        self.reply(405)

    def do_DELETE(self):
        self.reply(200)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("http://127.0.0.1:%d/mcp" % server.server_port, flush=True)
server.serve_forever()
