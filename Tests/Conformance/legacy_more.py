"""What the suite does not ask of a handshake revision and its specification does."""

import json

import content
from client import ACCEPT, LegacySession, check, expect, within
from expected import registry, together, until_counted

SCENARIOS, scenario = registry()


@scenario("http-rules")
def http_rules(run):
    session = run.session()
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

    def status(headers):
        stream = run.endpoint.send("POST", headers, message, "ping")
        stream.close()
        return stream.status
    own, version = ("Mcp-Session-Id", session.session), ("MCP-Protocol-Version", run.endpoint.revision)
    expect(status([("Accept", "application/json"), own, version]), 406, "Accept without text/event-stream")
    expect(status([("Accept", ACCEPT), version]), 400, "no session id")
    expect(status([("Accept", ACCEPT), ("Mcp-Session-Id", "unknown"), version]), 404, "an unknown session id")
    expect(status([("Accept", ACCEPT), own, ("MCP-Protocol-Version", "2025-01-01")]), 400, "an unsupported version")
    expect(session.notify("notifications/roots/list_changed"), (202, b""), "a notification")


@scenario("http-get-list-changed")
def list_changed(run):
    session = LegacySession(run.endpoint)
    stream = session.listen()
    expect(stream.status, 200, "GET")
    wanted = ["notifications/tools/list_changed", "notifications/prompts/list_changed"]
    session.call("test_trigger_tool_change")
    session.call("test_trigger_prompt_change")
    seen = []
    within(lambda: next(True for each in stream.messages() if seen.append(each["method"]) or len(seen) == 2))
    expect(seen, wanted, "notifications on the GET stream")
    stream.close()
    session.end()


@scenario("http-get-resource-updated")
def resource_updated(run):
    session = LegacySession(run.endpoint)
    stream = session.listen()
    session.request("resources/subscribe", {"uri": content.WATCHED["uri"]})
    session.call("test_trigger_resource_change")
    message = within(lambda: next(stream.messages(), None))
    expect((message or {}).get("params", {}).get("uri"), content.WATCHED["uri"], "uri of resources/updated")
    stream.close()
    session.end()


@scenario("resource-not-found")
def not_found(run):
    error = run.session().request("resources/read", {"uri": "test://nowhere"}).error
    expect(error["code"], -32002, "code for an unknown resource")


@scenario("roots-list")
def roots(run):
    listed = {"roots": [{"uri": "file:///home", "name": "home"}]}
    result = run.session({"roots/list": lambda params: listed}).call("test_input_required_result_list_roots").result
    expect(result["content"], [content.text("roots: file:///home")], "content")


@scenario("cancel")
def cancel(run):
    """notifications/cancelled reaches the server with the server's own id."""
    session = LegacySession(run.endpoint)

    def seen():
        return int(session.call("test_cancelled").result["content"][0]["text"])
    before = seen()
    message = {"jsonrpc": "2.0", "id": "wait", "method": "tools/call"}
    message["params"] = {"name": "test_wait", "arguments": {}, "_meta": {"progressToken": "w"}}
    stream = session.post(message)
    within(lambda: next(stream.messages()))
    session.notify("notifications/cancelled", {"requestId": "wait", "reason": "test"})
    until_counted(before + 1, seen, "cancelled calls")
    stream.close()
    session.end()


@scenario("undeclared-capability")
def undeclared(run):
    session = LegacySession(run.endpoint)
    outcome = session.call("test_missing_capability")
    check(outcome.requests == [] and ("error" in outcome.response or outcome.result.get("isError")), "an error", outcome.response)
    session.end()


@scenario("logging-at-once")
def logging_at_once(run):
    """Two calls of a session log at the same time: it is the session's client that hears it, on whichever of its streams."""
    session = LegacySession(run.endpoint)
    stream = session.listen()
    outcomes = []
    together(2, lambda index: outcomes.append(session.call("test_tool_with_logging")))
    seen = [each["data"] for outcome in outcomes for each in outcome.of("notifications/message")]
    try:
        while len(seen) < 6:
            seen.append(next(stream.messages())["params"]["data"])
    except (TimeoutError, StopIteration):
        pass
    expect(sorted(seen), sorted(content.LOGS * 2), "log messages on all streams")
    session.end()


@scenario("initialize-versions")
def versions(run):
    """A version that is known is echoed, for another the server names its own latest."""
    for asked, wanted in (("2024-11-05", "2024-11-05"), ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25")):
        session = LegacySession(run.endpoint, version=asked)
        expect(session.version, wanted, "protocolVersion for " + asked)
        expect(session.request("ping").result, {}, "a ping under " + wanted)
        session.end()


@scenario("batch")
def batch(run):
    """An array is a body of 2025-03-26, and of no other revision."""
    members = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": "two", "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
    ]
    session = LegacySession(run.endpoint, version="2025-03-26")
    stream = run.endpoint.send("POST", [("Accept", ACCEPT), *session.headers()], members, "ping")
    expect(stream.status, 200, "status of a batch at 2025-03-26")
    if stream.is_events:
        answers = [message for message, _ in zip(stream.messages(), range(2))]
    else:
        answers = json.loads(stream.body())
    expect(sorted(str(each["id"]) for each in answers), ["1", "two"], "ids of the answers")
    session.end()
    session = run.session()
    stream = run.endpoint.send("POST", [("Accept", ACCEPT), *session.headers()], members, "ping")
    expect(stream.status, 400, "status of a batch at " + session.version)


@scenario("elicitation-declined")
def declined(run):
    for action in ("decline", "cancel"):
        session = run.session({"elicitation/create": lambda params: {"action": action}})
        result = session.call("test_elicitation", {"message": "Who?"}).result
        expect(result["content"], [content.text("User response: action=%s, content={}" % action)], "content")


@scenario("elicitation-error")
def client_error(run):
    """The client answers with an error: the call ends, and not as if a user had accepted."""
    session = run.session({"elicitation/create": lambda params: {"error": {"code": -32603, "message": "no user is here"}}})
    response = session.call("test_elicitation", {"message": "Who?"}).response
    check("action=accept" not in json.dumps(response), "an error, or a form that nobody accepted", response)
    session.request("ping").result


@scenario("elicitation-undeclared")
def not_declared(run):
    """Who declared nothing is asked nothing; the call ends."""
    session = LegacySession(run.endpoint)
    outcome = session.call("test_elicitation", {"message": "Who?"})
    expect(outcome.requests, [], "requests on the stream")
    check("action=accept" not in json.dumps(outcome.response), "an error, or a form that nobody accepted", outcome.response)
    session.end()


@scenario("questions-at-once")
def at_once(run):
    """Three calls of a session, each with its question: each gets its own result."""
    session = run.session({
        "elicitation/create": lambda params: {"action": "accept", "content": {"name": "Alice"}},
        "sampling/createMessage": lambda params: {"role": "assistant", "content": content.text("Paris"), "model": "test-model"},
        "roots/list": lambda params: {"roots": [{"uri": "file:///home"}]},
    })
    wanted = {"elicitation": "Hello, Alice!", "sampling": "Paris", "list_roots": "roots: file:///home"}

    def one(index):
        name = list(wanted)[index]
        result = session.call("test_input_required_result_" + name).result
        expect(result["content"], [content.text(wanted[name])], "content of " + name)
    together(3, one)


@scenario("three-questions")
def three_questions(run):
    """One call that asks three things at once."""
    asked = []

    def answering(answer):
        return lambda params: asked.append(1) or answer
    session = run.session({
        "elicitation/create": answering({"action": "accept", "content": {"name": "Alice"}}),
        "sampling/createMessage": answering({"role": "assistant", "content": content.text("Paris"), "model": "test-model"}),
        "roots/list": answering({"roots": []}),
    })
    result = session.call("test_input_required_result_multiple_inputs").result
    expect((len(asked), result["content"]), (3, [content.text("Paris Alice (0 roots)")]), "questions and content")


@scenario("two-rounds")
def two_rounds(run):
    """A call that asks twice, the second time for what the first answer led to."""
    def answer(params):
        return {"action": "accept", "content": {"name": "Alice"} if "name" in params["message"] else {"color": "blue"}}
    result = run.session({"elicitation/create": answer}).call("test_input_required_result_multi_round").result
    expect(result["content"], [content.text("Alice likes blue")], "content")


@scenario("equal-ids")
def equal_ids(run):
    """Clients that pool conversations send the same id at the same time."""
    session = run.session()

    def one(index):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        message["params"] = {"name": "test_x_mcp_header", "arguments": {"region": "r%d" % index}}
        outcome = run.endpoint.collect(session.post(message), 1)
        expect(outcome.result["content"][0]["text"], "region=r%d limit=None" % index, "the answer to caller %d" % index)
    together(12, one)
