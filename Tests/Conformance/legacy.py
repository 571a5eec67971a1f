"""The suite's server scenarios at a handshake revision."""

import itertools
import json
import re

import content
import legacy_more
from client import ACCEPT, Failed, LegacySession, check, expect, within
from expected import COMMON, compared, progress, rebinding, registry, together

SCENARIOS, scenario = registry()


def common(name, function):
    def asking(run):
        return lambda method, params: run.session().request(method, params).result
    SCENARIOS[name] = lambda run: function(compared(asking(run), run.control and asking(run.control)))


for each in COMMON.items():
    common(*each)


def accept(values):
    return lambda params: {"action": "accept", "content": values}


CAPABILITIES = {"sampling": {}, "elicitation": {}, "roots": {}}


@scenario("server-initialize")
def initialize(run):
    session = LegacySession(run.endpoint)
    expect(session.started["protocolVersion"], run.endpoint.revision, "protocolVersion")
    for name in ("tools", "resources", "prompts", "logging", "completions"):
        check(name in session.started["capabilities"], "capability " + name, session.started["capabilities"])
    if session.session is not None:
        check(re.fullmatch(r"[\x21-\x7e]+", session.session), "a session id of visible ASCII", session.session)
    session.end()


@scenario("server-session-lifecycle")
def lifecycle(run):
    session = LegacySession(run.endpoint)
    expect(session.accepted, (202, b""), "notifications/initialized")
    status = session.end()
    check(200 <= status < 300 or status == 405, "2xx or 405 to DELETE", status)
    if status != 405:
        stream = session.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        expect(stream.status, 404, "a request after DELETE")


@scenario("ping")
def ping(run):
    expect(run.session().request("ping").result, {}, "result")


@scenario("logging-set-level")
def set_level(run):
    expect(run.session().request("logging/setLevel", {"level": "info"}).result, {}, "result")


@scenario("tools-call-with-logging")
def with_logging(run):
    """With a GET stream open, as the suite's client and every SDK's have it."""
    session = LegacySession(run.endpoint)
    expect(session.listen().status, 200, "GET")
    session.request("logging/setLevel", {"level": "debug"})
    logged(session.call("test_tool_with_logging"))
    session.end()


def logged(outcome):
    seen = [(each["level"], each["data"]) for each in outcome.of("notifications/message")]
    expect(seen, [("info", line) for line in content.LOGS], "log messages on the call's stream")


@scenario("tools-call-with-logging-without-get")
def without_get(run):
    session = LegacySession(run.endpoint)
    session.request("logging/setLevel", {"level": "debug"})
    logged(session.call("test_tool_with_logging"))
    session.end()


@scenario("tools-call-with-progress")
def with_progress(run):
    for token in ("progress-test-1", 17):
        outcome = run.session().call("test_tool_with_progress", meta={"progressToken": token})
        progress(outcome.of("notifications/progress"), token)
    expect(run.session().call("test_tool_with_progress").of("notifications/progress"), [], "progress without a token")


@scenario("tools-call-sampling")
def sampling(run):
    asked = []

    def answer(params):
        asked.append(params)
        return {"role": "assistant", "content": content.text("Paris, says the client"), "model": "test-model", "stopReason": "endTurn"}
    result = run.session({"sampling/createMessage": answer}).call("test_sampling", {"prompt": "Test prompt"}).result
    expect([(each["maxTokens"], each["messages"]) for each in asked], [(100, [content.user(content.text("Test prompt"))])], "sampling/createMessage")
    expect(result["content"], [content.text("LLM response: Paris, says the client")], "content")


@scenario("tools-call-elicitation")
def elicitation(run):
    asked = []

    def answer(params):
        asked.append(params)
        return {"action": "accept", "content": {"username": "testuser", "email": "test@example.com"}}
    result = run.session({"elicitation/create": answer}).call("test_elicitation", {"message": "Who?"}).result
    expect([(each["message"], each["requestedSchema"]) for each in asked], [("Who?", content.USER_FORM)], "elicitation/create")
    wanted = 'User response: action=accept, content={"email": "test@example.com", "username": "testuser"}'
    expect(result["content"], [content.text(wanted)], "content")


def form_passes(run, tool, form, values):
    asked = []

    def answer(params):
        asked.append(params["requestedSchema"])
        return {"action": "accept", "content": values}
    result = run.session({"elicitation/create": answer}).call(tool).result
    expect(asked, [form], "requestedSchema")
    check("action=accept" in result["content"][0]["text"], "the answer reflected", result)


@scenario("elicitation-sep1034-defaults")
def defaults(run):
    values = {"name": "Jane", "age": 31, "score": 1.5, "status": "pending", "verified": False}
    form_passes(run, "test_elicitation_sep1034_defaults", content.DEFAULTS_FORM, values)


@scenario("elicitation-sep1330-enums")
def enums(run):
    values = {
        "untitledSingle": "option1", "titledSingle": "value2", "legacyEnum": "opt3", "untitledMulti": ["option1"], "titledMulti": ["value3"],
    }
    form_passes(run, "test_elicitation_sep1330_enums", content.ENUMS_FORM, values)


@scenario("server-sse-multiple-streams")
def multiple_streams(run):
    session = run.session()
    together(3, lambda index: expect(session.request("tools/list", {}, "stream-%d" % index).status, 200, "status of a concurrent POST"))


@scenario("server-sse-polling")
def polling(run):
    """The stream of a call is over before its answer, which comes on another one."""
    session = LegacySession(run.endpoint)

    def begun(identity, count=None):
        params = {"name": "test_reconnection", "arguments": {}, "_meta": {"progressToken": "reconnection"}}
        stream = session.post({"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": params})
        check(stream.is_events, "an event stream", stream.headers)
        events = list(itertools.islice(stream.events(), count))
        stream.close()
        first = events[0]
        check(first.id and not first.text, "a priming event (id, empty data) first", (first.id, first.text))
        check(any(each.retry is not None for each in events), "retry: before the stream is closed", len(events))
        return events
    identity, events = 9, begun(9)
    if any('"result"' in each.text for each in events):
        # A server behind STDIO has no stream to close: its client does, after the priming event and the progress.
        identity, events = 10, begun(10, 2)
    check(not any('"result"' in each.text for each in events), "a stream that is over before its answer", [each.text for each in events])
    again = session.listen([("Last-Event-ID", [each.id for each in events if each.id][-1])])
    expect(again.status, 200, "GET with Last-Event-ID")
    replayed = json.loads(within(lambda: next(each.text for each in again.events() if '"result"' in each.text)))
    expect((replayed["id"], replayed["result"]["content"]), (identity, [content.text("Reconnection test completed")]), "the call's response")
    again.close()
    session.end()


UPDATED, CHANGED = "notifications/resources/updated", "notifications/tools/list_changed"


def heard(session, stream, is_subscribed):
    """A change of the resource, then one of the tools: what comes on the GET stream is both, or the second alone."""
    session.call("test_trigger_resource_change")
    session.call("test_trigger_tool_change")
    for wanted in ([UPDATED] if is_subscribed else []) + [CHANGED]:
        message = within(lambda: next(stream))
        expect(message["method"], wanted, "the notification of a client that is%s subscribed" % ("" if is_subscribed else " not"))
        if wanted == UPDATED:
            expect(message["params"]["uri"], content.WATCHED["uri"], "uri of resources/updated")


@scenario("resources-subscribe")
def subscribe(run):
    session = LegacySession(run.endpoint)
    stream = session.listen().messages()
    heard(session, stream, False)
    expect(session.request("resources/subscribe", {"uri": content.WATCHED["uri"]}).result, {}, "result")
    heard(session, stream, True)
    session.end()


@scenario("resources-unsubscribe")
def unsubscribe(run):
    session = LegacySession(run.endpoint)
    stream = session.listen().messages()
    session.request("resources/subscribe", {"uri": content.WATCHED["uri"]})
    heard(session, stream, True)
    expect(session.request("resources/unsubscribe", {"uri": content.WATCHED["uri"]}).result, {}, "result")
    heard(session, stream, False)
    session.end()


@scenario("dns-rebinding-protection")
def dns_rebinding(run):
    params = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "rebinding", "version": "1"}}

    def send(headers):
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        stream = run.endpoint.send("POST", [("Accept", ACCEPT), *headers], message, "ping")
        session = stream.headers.get("mcp-session-id")
        stream.close()
        if session:
            run.endpoint.send("DELETE", [("Mcp-Session-Id", session)]).close()
        return stream.status
    send.port = run.endpoint.port
    rebinding(send, "initialize")


SCENARIOS.update(legacy_more.SCENARIOS)


class Run:
    """A run's shared session: most scenarios do not need one of their own, and each is a process behind a bridge."""

    def __init__(self, endpoint, control=None):
        self.endpoint, self.shared = endpoint, None
        self.control = control and Run(control)

    def session(self, handlers=None):
        if self.shared is None:
            self.shared = LegacySession(self.endpoint, CAPABILITIES)
            self.shared.hold()
        self.shared.handlers = handlers or {}
        return self.shared

    def end_scenario(self):
        self.endpoint.close()

    def reset(self):
        shared, self.shared = self.shared, None
        self.endpoint.close()
        if shared:
            try:
                shared.end()
            except (OSError, Failed):
                pass
        if self.control:
            self.control.reset()
