"""MCP over raw HTTP: http.client, SSE by hand, JSON-RPC. It knows both eras' envelopes and no SDK."""

import http.client
import itertools
import json
import time
import urllib.parse

from validation import Invalid, brief

DEADLINE = 30  # seconds for anything that must come
ACCEPT = "application/json, text/event-stream"
MODERN = "2026-07-28"
PREFIX = "io.modelcontextprotocol/"


REFUSALS = {
    "elicitation/create": {"action": "cancel"}, "roots/list": {"roots": []},
    "sampling/createMessage": {"role": "assistant", "content": {"type": "text", "text": "no"}, "model": "none"},
}


class Failed(AssertionError):
    pass


def expect(seen, wanted, what):
    if seen != wanted:
        raise Failed("%s: expected %s, saw %s" % (what, brief(json.dumps(wanted)), brief(json.dumps(seen, default=str))))


def check(condition, what, seen):
    if not condition:
        raise Failed("expected %s, saw %s" % (what, brief(json.dumps(seen, default=str))))


class Event:
    def __init__(self):
        self.id = self.name = self.retry = None
        self.data = []

    @property
    def text(self):
        return "\n".join(self.data)


class Stream:
    """An answer while it is read: one JSON body, or server-sent events until their end."""

    def __init__(self, connection, response, validator, method):
        self.connection, self.response, self.validator, self.method = connection, response, validator, method
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.is_events = self.headers.get("content-type", "").startswith("text/event-stream")

    def body(self):
        return self.response.read()

    def events(self, seconds=DEADLINE):
        """Events until the stream ends; TimeoutError when it has not within the seconds."""
        deadline = time.monotonic() + seconds
        event, is_empty = Event(), True
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the stream of %s did not end within %s s" % (self.method, seconds))
            self.connection.sock and self.connection.sock.settimeout(left)
            line = self.response.readline()
            if not line:
                return
            line = line.decode().rstrip("\r\n")
            if not line:
                if not is_empty:
                    yield event
                event, is_empty = Event(), True
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                value = value[1:] if value.startswith(" ") else value
                is_empty = False
                if name == "data":
                    event.data.append(value)
                elif name == "retry":
                    event.retry = int(value)
                elif name in ("id", "event"):
                    setattr(event, {"id": "id", "event": "name"}[name], value)

    def messages(self, seconds=DEADLINE):
        """Validated messages, whichever way they come."""
        if self.is_events:
            for event in self.events(seconds):
                if event.text:
                    yield self.parse(event.text)
            return
        body = self.body()
        if body:
            yield self.parse(body)

    def parse(self, text):
        try:
            message = json.loads(text)
        except ValueError:
            raise Failed("expected JSON, saw HTTP %d %s" % (self.status, brief(text))) from None
        if not isinstance(message, dict) or "jsonrpc" not in message:
            raise Failed("expected a JSON-RPC message, saw HTTP %d %s" % (self.status, brief(text)))
        self.validator.message(message, self.method)
        return message

    def close(self):
        self.connection.close()
        self.response.close()


class Outcome:
    """What came of a request: its response, and what the stream carried before it."""

    def __init__(self, stream):
        self.status, self.headers = stream.status, stream.headers
        self.response, self.notifications, self.requests = None, [], []

    @property
    def result(self):
        if self.response is None or "result" not in self.response:
            raise Failed("expected a result, saw HTTP %d %s" % (self.status, brief(json.dumps(self.response))))
        return self.response["result"]

    @property
    def error(self):
        if self.response is None or "error" not in self.response:
            raise Failed("expected an error, saw HTTP %d %s" % (self.status, brief(json.dumps(self.response))))
        return self.response["error"]

    def of(self, method):
        return [each["params"] for each in self.notifications if each["method"] == method]


class Endpoint:
    def __init__(self, url, validator):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.path, self.revision = parts.hostname, parts.port, parts.path or "/", validator.revision
        self.validator = validator
        self.numbers = itertools.count(1)
        self.open_streams = []

    def send(self, verb, headers, body=None, method=None, seconds=DEADLINE):
        """A request on a connection of its own; `headers` are sent as they are, a Host among them replaces ours."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        connection.putrequest(verb, self.path, skip_host=True, skip_accept_encoding=True)
        if not any(name.lower() == "host" for name, _ in headers):
            connection.putheader("Host", "%s:%d" % (self.host, self.port))
        for name, value in headers:
            connection.putheader(name, value)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        if data is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        stream = Stream(connection, connection.getresponse(), self.validator, method)
        self.open_streams.append(stream)
        return stream

    def close(self):
        for stream in self.open_streams:
            stream.close()
        self.open_streams.clear()

    def collect(self, stream, identity, answer=None):
        """Reads to the response of `identity`; `answer(request)` gives the result for a request of the server's."""
        outcome = Outcome(stream)
        for message in stream.messages():
            if "method" not in message:
                expect((type(message.get("id")).__name__, message.get("id")), (type(identity).__name__, identity), "id of the response")
                outcome.response = message
                break
            (outcome.requests if "id" in message else outcome.notifications).append(message)
            if "id" in message and answer:
                answer(message)
        stream.close()
        return outcome


class LegacySession:
    """A session of a handshake revision."""

    def __init__(self, endpoint, capabilities=None, handlers=None, version=None):
        self.endpoint, self.session, self.handlers, self.version, self.held = endpoint, None, handlers or {}, None, None
        params = {
            "protocolVersion": version or endpoint.revision, "capabilities": capabilities or {},
            "clientInfo": {"name": "conformance", "version": "1"},
        }
        started = self.request("initialize", params)
        self.session = started.headers.get("mcp-session-id")
        self.started = started.result
        self.version = self.started["protocolVersion"]
        self.accepted = self.notify("notifications/initialized")

    def headers(self):
        session = [("Mcp-Session-Id", self.session)] if self.session else []
        return session + ([("MCP-Protocol-Version", self.version)] if self.version else [])

    def post(self, message):
        return self.endpoint.send("POST", [("Accept", ACCEPT), *self.headers()], message, message.get("method"))

    def request(self, method, params=None, identity=None):
        identity = next(self.endpoint.numbers) if identity is None else identity
        message = {"jsonrpc": "2.0", "id": identity, "method": method} | ({"params": params} if params is not None else {})
        return self.endpoint.collect(self.post(message), identity, self.answer)

    def call(self, tool, arguments=None, meta=None):
        return self.request("tools/call", {"name": tool, "arguments": arguments or {}} | ({"_meta": meta} if meta else {}))

    def notify(self, method, params=None):
        stream = self.post({"jsonrpc": "2.0", "method": method} | ({"params": params} if params else {}))
        body = stream.body()
        stream.close()
        return stream.status, body

    def answer(self, request):
        if request["method"] not in self.handlers:
            raise Failed("expected no request, saw %s" % brief(json.dumps(request)))
        answer = self.handlers[request["method"]](request.get("params"))
        outcome = answer if "error" in answer else {"result": answer}
        stream = self.post({"jsonrpc": "2.0", "id": request["id"]} | outcome)
        expect((stream.status, stream.body()), (202, b""), "answer to %s is accepted" % request["method"])
        stream.close()

    def hold(self):
        """The GET stream that clients keep open all the time; not closed with a scenario's."""
        self.held = self.listen()
        self.endpoint.open_streams.remove(self.held)

    def listen(self, extra=()):
        return self.endpoint.send("GET", [("Accept", "text/event-stream"), *self.headers(), *extra], method="GET")

    def end(self):
        stream = self.endpoint.send("DELETE", self.headers())
        stream.body()
        stream.close()
        if self.held:
            self.held.close()
        return stream.status


class ModernClient:
    """Requests of 2026-07-28: everything is said in each."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.asked = {}  # results that ask and were not answered: requestState → (method, params, capabilities, result)

    def message(self, method, params, capabilities, meta, identity):
        own = {
            PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": capabilities or {},
            PREFIX + "clientInfo": {"name": "conformance", "version": "1"},
        }
        kept = {key: value for key, value in (own | (meta or {})).items() if value is not None}
        return {"jsonrpc": "2.0", "id": identity, "method": method, "params": (params or {}) | {"_meta": kept}}

    def headers(self, method, params):
        named = (params or {}).get("uri" if method == "resources/read" else "name")
        is_named = method in ("tools/call", "prompts/get", "resources/read") and named is not None
        return {"MCP-Protocol-Version": MODERN, "Mcp-Method": method} | ({"Mcp-Name": named} if is_named else {})

    def open(self, method, params=None, capabilities=None, meta=None, headers=None, identity=None, seconds=DEADLINE):
        """`meta` and `headers` replace single entries; None removes one."""
        identity = next(self.endpoint.numbers) if identity is None else identity
        fields = {"Accept": ACCEPT} | self.headers(method, params) | (headers or {})
        sent = [(name, value) for name, value in fields.items() if value is not None]
        stream = self.endpoint.send("POST", sent, self.message(method, params, capabilities, meta, identity), method, seconds)
        stream.identity = identity
        return stream

    def request(self, method, params=None, **more):
        try:
            stream = self.open(method, params, **more)
            outcome = self.endpoint.collect(stream, stream.identity)
        except TimeoutError:
            target = (params or {}).get("name", "")
            raise Failed("expected an answer to %s %s within %s s, saw none" % (method, target, more.get("seconds", DEADLINE))) from None
        expect(outcome.requests, [], "requests on the stream of " + method)
        check(outcome.response is not None, "a response to " + method, "HTTP %d without one" % outcome.status)
        result = outcome.response.get("result", {})
        if result:
            self.asked.pop((params or {}).get("requestState"), None)
        if result.get("resultType") == "input_required" and "requestState" in result:
            self.asked[result["requestState"]] = (method, params, more.get("capabilities"), result)
        return outcome

    def settle(self):
        """Answers what a scenario left open: behind a bridge a legacy server's call waits until its client answers."""
        for _ in range(20):
            if not self.asked:
                return
            state, (method, params, capabilities, result) = self.asked.popitem()
            answers = {key: REFUSALS[request["method"]] for key, request in result["inputRequests"].items()}
            again = {key: value for key, value in params.items() if key != "inputResponses"}
            retry = again | {"requestState": state, "inputResponses": answers}
            self.request(method, retry, capabilities=capabilities, seconds=3)

    def call(self, tool, arguments=None, **more):
        extra = {key: more.pop(key, None) for key in ("inputResponses", "requestState")}
        params = {"name": tool, "arguments": arguments or {}} | {key: value for key, value in extra.items() if value is not None}
        return self.request("tools/call", params, **more)


def within(read):
    """Runs `read`; a failure that says so when nothing came in time."""
    try:
        return read()
    except TimeoutError:
        raise Failed("expected something within %s s, saw nothing" % DEADLINE) from None
    except StopIteration:
        raise Failed("expected something on the stream, saw its end") from None


__all__ = [
    "ACCEPT", "DEADLINE", "Endpoint", "Failed", "Invalid", "LegacySession", "MODERN", "ModernClient", "PREFIX", "check", "expect", "within",
]
