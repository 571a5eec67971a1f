"""A remote server by raw HTTP, no SDK: python remote.py SCENARIO [CERTIFICATE KEY]; prints its URL, then a line for each request.

A scenario is a class below; what is common to them is an era and its handshake."""
import http.server, json, ssl, sys, threading


def error(message, code, text, **data):
    return {"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": code, "message": text, **({"data": data} if data else {})}}


def answer(message, **result):
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def text(message, words, **more):
    return answer(message, content=[{"type": "text", "text": words}], **more)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = {"session": 0, "forgotten": set(), "calls": 0}

    def log_message(self, *arguments): pass

    def tell(self, message=None):
        seen = {"verb": self.command, "path": self.path, "method": (message or {}).get("method"), "params": (message or {}).get("params"),
                "result": (message or {}).get("result")}
        for name in ("authorization", "mcp-session-id", "last-event-id", "mcp-protocol-version", "mcp-method"):
            seen[name] = self.headers.get(name)
        sys.stdout.write(json.dumps(seen) + "\n"); sys.stdout.flush() # at once: threads share it

    def reply(self, status, body=None, **headers):
        data = b"" if body is None else json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.send_response(status)
        if body is not None and "content_type" not in headers: headers["content_type"] = "application/json"
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

    def event(self, data="", **fields):
        lines = ["%s: %s" % pair for pair in fields.items()] + ["data: " + (data if isinstance(data, str) else json.dumps(data))]
        self.wfile.write(("\n".join(lines) + "\n\n").encode())
        self.wfile.flush()

    def hold(self):
        "Until the client closes its end."
        try:
            while self.connection.recv(4096): pass
        except OSError: pass

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.tell(message)
        self.post(message)

    def do_GET(self):
        self.tell()
        self.get()

    def do_DELETE(self):
        self.tell()
        self.reply(200)

    def get(self): self.reply(405)
    def unknown(self, message): self.reply(404, error(message, -32601, "Method not found"))


class Modern(Server):
    "The stateless revision."

    def post(self, message):
        if message["method"] == "server/discover":
            return self.reply(200, answer(
                message, resultType="complete", supportedVersions=["2026-07-28"], capabilities={"tools": {}}, ttlMs=0, cacheScope="private",
                serverInfo={"name": "remote", "version": "1"}))
        getattr(self, message["method"].replace("/", "_"), self.unknown)(message)

    def tools_list(self, message):
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("echo", "ask")]
        self.reply(200, answer(message, resultType="complete", tools=tools, ttlMs=0, cacheScope="private"))

    def tools_call(self, message):
        params = message["params"]
        if params["name"] == "ask": return self.ask(message, params)
        self.reply(200, text(message, params.get("arguments", {}).get("text", ""), resultType="complete"))

    def ask(self, message, params):
        "Two rounds of questions; the state must come back as it was."
        given = params.get("inputResponses") or {}
        state = params.get("requestState")
        if state is None: return self.question(message, "first", "who?", "state 1 \u00e9")
        if state == "state 1 \u00e9" and given.get("first", {}).get("action") == "accept":
            return self.question(message, "second", "sure?", "state 2 " + given["first"]["content"]["name"])
        if state.startswith("state 2") and "second" in given:
            return self.reply(200, text(message, "%s %s" % (state, given["second"]["action"]), resultType="complete"))
        self.reply(400, error(message, -32602, "bad state"))

    def question(self, message, key, words, state):
        schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        params = {"mode": "form", "message": words, "requestedSchema": schema}
        self.reply(200, answer(
            message, resultType="input_required", requestState=state, inputRequests={key: {"method": "elicitation/create", "params": params}}))


class Legacy(Server):
    "A handshake revision, with sessions."
    missed, arrived = threading.Event(), threading.Event()

    def post(self, message):
        method, session = message.get("method"), self.headers.get("mcp-session-id")
        if method == "server/discover": return self.reply(400, error(message, -32600, "Bad Request: Missing session ID"))
        if method == "initialize":
            self.state["session"] += 1
            return self.reply(200, answer(
                message, protocolVersion="2025-11-25", capabilities={"tools": {"listChanged": True}}, serverInfo={"name": "remote", "version": "1"}),
                mcp_session_id="s%d" % self.state["session"])
        if session in self.state["forgotten"] or session is None:
            self.reply(404, error(message, -32001, "Session not found"))
            return self.missed.set()
        if "id" not in message or "result" in message: return self.reply(202)
        getattr(self, method.replace("/", "_"))(message)

    def tools_list(self, message): self.reply(200, answer(message, tools=[]))

    def tools_call(self, message):
        self.state["calls"] += 1
        getattr(self, message["params"]["name"])(message)

    def echo(self, message): self.reply(200, text(message, self.headers["mcp-session-id"]))
    def big(self, message): self.reply(200, text(message, "x" * 1_000_000))

    def afterwards(self, message):
        self.stream()
        self.arrived.set()
        self.missed.wait(20) # its client knows by then that the session is gone
        self.event(text(message, self.headers["mcp-session-id"]))

    def forget_afterwards(self, message):
        self.arrived.wait(20)
        self.forget(message)

    def forget(self, message):
        self.state["forgotten"].add(self.headers["mcp-session-id"])
        self.echo(message)


class Amnesiac(Legacy):
    "Opens sessions, and knows none of them in a call."

    def tools_call(self, message): self.reply(404, error(message, -32001, "Session not found"))


class Gathering(Legacy):
    "Refuses calls of a session that it forgot together, and not before there are four."
    together = threading.Barrier(4)

    def post(self, message):
        if (message.get("params") or {}).get("name") == "together" and self.headers.get("mcp-session-id") in self.state["forgotten"]:
            self.together.wait(20)
        super().post(message)

    def tools_call(self, message):
        if message["params"]["name"] == "together": return self.echo(message)
        super().tools_call(message)


class Polling(Legacy):
    "Closes the stream of a call after its priming event, again and again, and tells the answer on a later one; the session's own too."
    last, refused = 12, threading.Event()

    def slow(self, message):
        self.state["message"] = message
        self.stream()
        self.event(id="call-1", retry=100)

    def lost(self, message): self.slow(message)

    def late(self, message):
        self.refused.wait(20)
        self.echo(message)

    def get(self):
        last = self.headers.get("last-event-id")
        if last is None or last.startswith("own"): return self.own(last)
        message = self.state["message"]
        if message["params"]["name"] == "lost":
            self.reply(404)
            return self.refused.set()
        self.stream()
        number = int(last[5:])
        if number < self.last:
            # With and without the empty data that the specification asks for.
            return self.event(id="call-%d" % (number + 1), retry=100) if number % 2 else self.wfile.write(b"id: call-%d\nretry: 100\n\n" % (number + 1))
        self.event(text(message, "told after " + last), id="call-%d" % (number + 1))

    def own(self, last):
        self.stream()
        number = 0 if last is None else int(last[4:]) + 1
        self.event(id="own-%d" % number, retry=100)
        if number < self.last: return
        self.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        self.hold()


class Lingering(Legacy):
    "Keeps the streams of its answers open, or breaks them off."
    open, changed = 0, threading.Condition()

    def count(self, change):
        with self.changed:
            Lingering.open += change
            self.changed.notify_all()

    def echo(self, message):
        self.count(1)
        self.stream()
        self.event(text(message, "open"), id="call-1")
        self.hold()
        self.count(-1)

    def quiet(self, message):
        with self.changed: done = self.changed.wait_for(lambda: self.open == 0, 20)
        self.reply(200, text(message, "closed" if done else "%d are open" % self.open))

    def cut(self, message):
        event = b"id: call-1\ndata: " + json.dumps(text(message, "cut")).encode() + b"\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.flush()
        self.connection.shutdown(2)
        self.close_connection = True


class Ladder(Legacy):
    "Answers the probe as a newer revision would that does not know ours."

    def post(self, message):
        if message.get("method") != "server/discover": return super().post(message)
        self.reply(400, error(message, -32022, "Unsupported protocol version", supported=["2025-11-25"], requested="2026-07-28"))


class Upgraded(Legacy):
    "Is replaced by a server of the stateless revision after the first call."

    def post(self, message):
        modern = self.headers.get("mcp-protocol-version") == "2026-07-28"
        if not self.state["calls"]: return super().post(message)
        if modern: return Modern.post(self, message)
        self.reply(400, error(message, -32022, "Unsupported protocol version", supported=["2026-07-28"]))

    def tools_call(self, message):
        if self.headers.get("mcp-protocol-version") == "2026-07-28": return Modern.tools_call(self, message)
        super().tools_call(message)


class Downgraded(Modern):
    "The other way round."

    def post(self, message):
        if not self.state["calls"]: return super().post(message)
        if self.headers.get("mcp-protocol-version") == "2026-07-28":
            return self.reply(400, error(message, -32022, "Unsupported protocol version", supported=["2025-11-25"]))
        Legacy.post(self, message)

    def echo(self, message): Legacy.echo(self, message)

    def tools_call(self, message):
        self.state["calls"] += 1
        if self.headers.get("mcp-session-id"): return Legacy.echo(self, message)
        super().tools_call(message)


class Moved(Modern):
    "Answers at another path of the same origin; /away is at another origin, /circle nowhere."

    def post(self, message):
        place = {"/mcp": "here/./x/../there?k=1", "/away": "http://127.0.0.1:%d/mcp" % other.server_port, "/circle": "/circle"}.get(self.path)
        if place: return self.reply(307, b"", location=place)
        super().post(message)


class Pages(Modern):
    "Lists on three pages, and prompts without an end."

    def tools_list(self, message):
        page = int(message["params"].get("cursor", "0"))
        more = {"nextCursor": str(page + 1)} if page < 2 else {"nextCursor": None}
        self.reply(200, answer(message, resultType="complete", tools=[{"name": "t%d" % page, "inputSchema": {"type": "object", "n": 1.50}}], **more))

    def prompts_list(self, message):
        self.reply(200, answer(message, resultType="complete", prompts=[{"name": "p"}], nextCursor="again"))


class Mirroring(Modern):
    "Wants an argument in a header."

    def tools_list(self, message):
        schema = {"type": "object", "properties": {"where": {"type": "string", "x-mcp-header": "Region"}}}
        self.reply(200, answer(message, resultType="complete", tools=[{"name": "region", "inputSchema": schema}], ttlMs=0, cacheScope="private"))

    def tools_call(self, message):
        region = self.headers.get("mcp-param-region")
        if region is None: return self.reply(400, error(message, -32020, "Mcp-Param-Region is missing"))
        self.reply(200, text(message, region, resultType="complete"))


class Preparing(Mirroring):
    "The same; the list comes when a call asks for it."
    listed, released, told = threading.Event(), threading.Event(), threading.Event()

    def tools_list(self, message):
        self.listed.set()
        self.released.wait(20)
        try: super().tools_list(message)
        finally: self.told.set() # its client may have gone

    def tools_call(self, message):
        name = message["params"]["name"]
        if name == "region": return super().tools_call(message)
        if name == "listed": self.listed.wait(20)
        if name == "release":
            self.released.set()
            self.told.wait(20)
        self.reply(200, text(message, name, resultType="complete"))


class Huge(Modern):
    "Answers without an end, or with one message that is too long."

    def tools_call(self, message):
        if message["params"]["name"] == "fine": return self.reply(200, text(message, "fine", resultType="complete"))
        self.stream()
        if message["params"]["name"] == "long":
            return self.event(text(message, "x" * (17 << 20), resultType="complete"))
        sent, piece = 0, b"x" * (1 << 20)
        try:
            while sent < 1 << 30:
                self.wfile.write(piece)
                sent += len(piece)
        except OSError: pass
        print("sent %d MiB" % (sent >> 20), flush=True)


class Silent(Legacy):
    "Answers no call, and no end of a session."

    def tools_call(self, message):
        self.stream()
        params = {"progressToken": message["params"]["_meta"]["progressToken"], "progress": 1}
        self.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        self.hold()

    def do_DELETE(self):
        self.tell()
        self.hold()


class Mute(Server):
    "Takes requests and says nothing."

    def post(self, message): self.hold()


class Nothing(Server):
    "No MCP server."

    def post(self, message): self.reply(404)
    def get(self): self.reply(404)


class EventStream(Server):
    "2024-11-05, badly: the query says how."

    def post(self, message):
        if not self.path.startswith("/post"): return self.reply(405)
        self.reply(202)
        if message.get("method") == "initialize":
            result = answer(message, protocolVersion="2024-11-05", capabilities={"tools": {}}, serverInfo={"name": "old", "version": "1"})
            self.state["stream"].event(result)
        elif message.get("method") == "server/discover": self.state["stream"].event(error(message, -32601, "Method not found"))
        elif message.get("method") == "tools/call": self.tools_call(message, self.state["stream"])

    def tools_call(self, message, stream):
        params = message["params"]
        if params["name"] == "echo": return stream.event(text(message, "echo"))
        if params["name"] != "told": return stream.connection.shutdown(2)
        progress = {"progressToken": params["_meta"]["progressToken"], "progress": 1}
        stream.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})

    def get(self):
        self.stream()
        how = self.path.partition("?")[2]
        if how == "away": self.event("http://127.0.0.1:%d/post" % other.server_port, event="endpoint")
        if how == "breaks":
            self.state["stream"] = self
            self.event("/post?x=1", event="endpoint")
        if how != "ends": self.hold()


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address): pass


class Other(Server):
    "Another origin, which nobody should reach."

    def post(self, message): self.reply(200, {})


scenario = {kind.__name__.lower(): kind for kind in Server.__subclasses__() + Legacy.__subclasses__() + Modern.__subclasses__() + [Preparing]}[sys.argv[1]]
listener = Listener(("127.0.0.1", 0), scenario)
other = Listener(("127.0.0.1", 0), Other)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=other.serve_forever, daemon=True).start()
print("http%s://127.0.0.1:%d/mcp" % ("s" if len(sys.argv) > 2 else "", listener.server_port), flush=True)
listener.serve_forever()
