"""A server of the handshake revisions over streamable HTTP, no SDK: python http_server.py PORT [HOW].

HOW is nothing, or what goes wrong: exits, silent, web, tells, busy (as long as the file busy is in its folder)."""
import http.server, json, os, sys, threading, time, uuid

PORT, HOW = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
sessions, waiting = {}, {}
DESCRIPTORS = sorted(int(name) for name in os.listdir("/proc/self/fd"))


def content(text): return {"content": [{"type": "text", "text": text if isinstance(text, str) else json.dumps(text)}]}


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments): pass

    def reply(self, status, body=b"", kind="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        for name, value in headers.items(): self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, message):
        self.wfile.write(("data: %s\n\n" % json.dumps({"jsonrpc": "2.0", **message})).encode())
        self.wfile.flush()

    def do_GET(self):
        if HOW == "web": return self.reply(200, b"<html>hello</html>", "text/html")
        self.reply(405)

    def do_DELETE(self):
        print("ended", self.headers.get("mcp-session-id"), flush=True)
        self.reply(200 if sessions.pop(self.headers.get("mcp-session-id"), None) else 404)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if HOW == "web": return self.reply(404, b"<html>nothing here</html>", "text/html; charset=utf-8")
        if HOW == "busy" and not os.path.exists(os.environ["READY"]): return self.reply(503, b"later", "text/plain")
        if self.path != "/mcp": return self.reply(404, b"no such path", "text/plain")
        if HOW == "tells": return self.reply(400, {"message": "bad key " + os.environ.get("API_KEY", "none")})
        if "id" not in message:
            if message["method"] == "notifications/cancelled": print("cancelled", message["params"]["requestId"], flush=True)
            return self.reply(202)
        def answer(result): self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, **named)
        named = {}
        if message.get("method") == "initialize":
            session = uuid.uuid4().hex
            sessions[session] = {"calls": 0, "client": message["params"]["clientInfo"]["name"]}
            named["mcp_session_id"] = session
            return answer({
                "protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "http-fixture", "version": "1"}})
        if "method" not in message:
            waiting.pop(message["id"])(message)
            return self.reply(202)
        session = sessions.get(self.headers.get("mcp-session-id"))
        if session is None:
            status = 404 if self.headers.get("mcp-session-id") else 400
            return self.reply(status, {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32600, "message": "no session"}})
        if message["method"] == "tools/list":
            return answer({"tools": [{"name": "count", "inputSchema": {"type": "object"}}]})
        if message["method"] != "tools/call":
            return self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}})
        arguments = message["params"].get("arguments") or {}
        tool = message["params"]["name"]
        session["calls"] += 1
        if tool == "count": return answer(content(session["calls"]))
        if tool == "identity":
            return answer(content({
                "pid": os.getpid(), "uid": os.getuid(), "environment": dict(os.environ), "sessions": len(sessions), "directory": os.getcwd(),
                "session": self.headers.get("mcp-session-id"), "descriptors": DESCRIPTORS}))
        if tool == "crash":
            print("about to crash", file=sys.stderr, flush=True)
            os._exit(arguments.get("status", 1))
        if tool == "fork":
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
            return answer(content("forked"))
        if tool == "wait":
            print("waits", flush=True)
            time.sleep(arguments.get("seconds", 600))
            return answer(content("waited"))
        if tool == "progress":
            token = message["params"]["_meta"]["progressToken"]
            self.stream()
            for step in range(3):
                self.event({"method": "notifications/progress", "params": {"progressToken": token, "progress": step + 1}})
            return self.event({"id": message["id"], "result": content("done")})
        if tool == "ask":
            came, told = threading.Event(), []
            waiting["q"] = lambda answer: (told.append(answer), came.set())
            self.stream()
            self.event({"id": "q", "method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}})
            came.wait(60)
            return self.event({"id": message["id"], "result": content(told[0]["result"]["action"])})
        answer(content("no such tool"))


if HOW == "exits":
    print("cannot start: no config", file=sys.stderr, flush=True)
    sys.exit(3)
print("listening", flush=True)
if HOW == "silent": time.sleep(600)
class Listener(http.server.ThreadingHTTPServer): daemon_threads = True
Listener(("127.0.0.1", PORT), Server).serve_forever()
