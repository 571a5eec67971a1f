"""The suite's server scenarios at 2026-07-28; its larger groups have files of their own."""

import modern_headers
import modern_input
import modern_listen
import modern_stateless
from client import ACCEPT, PREFIX, ModernClient, check, expect, within
from expected import COMMON, compared, progress, rebinding, registry, together, until_counted

SCENARIOS, scenario = registry()


def common(name, function):
    def asking(client):
        def ask(method, params):
            result = client.request(method, params).result
            expect(result["resultType"], "complete", "resultType of " + method)
            return result
        return ask
    SCENARIOS[name] = lambda run: function(compared(asking(run.client), run.control and asking(run.control)))


for each in COMMON.items():
    common(*each)


@scenario("tools-call-with-progress")
def with_progress(run):
    for token in ("progress-test-1", 17):
        outcome = run.client.call("test_tool_with_progress", meta={"progressToken": token})
        progress(outcome.of("notifications/progress"), token)
    expect(run.client.call("test_tool_with_progress").of("notifications/progress"), [], "progress without a token")


@scenario("server-sse-multiple-streams")
def multiple_streams(run):
    def one(index):
        expect(run.client.request("tools/list", identity="stream-%d" % index).status, 200, "status of a concurrent POST")
    together(3, one)


@scenario("sep-2164-resource-not-found")
def not_found(run):
    error = run.client.request("resources/read", {"uri": "test://nowhere"}).error
    expect((error["code"], (error.get("data") or {}).get("uri")), (-32602, "test://nowhere"), "code and data.uri")


@scenario("dns-rebinding-protection")
def dns_rebinding(run):
    def send(headers):
        message = run.client.message("server/discover", {}, {}, {}, 1)
        sent = [("Accept", ACCEPT), *run.client.headers("server/discover", {}).items(), *headers]
        stream = run.endpoint.send("POST", sent, message, "server/discover")
        stream.close()
        return stream.status
    send.port = run.endpoint.port
    rebinding(send, "server/discover")


@scenario("cancel")
def cancel(run):
    """The end of the response stream is the cancel."""
    def seen():
        return int(run.client.call("test_cancelled").result["content"][0]["text"])
    before = seen()
    stream = run.client.open("tools/call", {"name": "test_wait", "arguments": {}}, meta={"progressToken": "w"})
    within(lambda: next(stream.messages()))
    stream.close()
    until_counted(before + 1, seen, "cancelled calls")


@scenario("caching")
def caching(run):
    requests = [
        ("server/discover", {}), ("tools/list", {}), ("prompts/list", {}), ("resources/list", {}), ("resources/templates/list", {}),
        ("resources/read", {"uri": "test://static-text"}),
    ]
    for method, params in requests:
        result = run.client.request(method, params).result
        ttl = result.get("ttlMs")
        check(type(ttl) is int and ttl >= 0, "ttlMs of %s to be an integer of 0 or more" % method, ttl)
        check(result.get("cacheScope") in ("public", "private"), "cacheScope of %s" % method, result.get("cacheScope"))


@scenario("result-server-info")
def server_info(run):
    for method in ("server/discover", "tools/list"):
        meta = run.client.request(method).result.get("_meta") or {}
        check("name" in meta.get(PREFIX + "serverInfo", {}), "serverInfo in _meta of " + method, meta)


@scenario("tools-list-deterministic")
def deterministic(run):
    lists = [run.client.request("tools/list").result["tools"] for _ in range(3)]
    check(lists[0] == lists[1] == lists[2], "the same list each time", [len(each) for each in lists])


@scenario("tasks-not-shown")
def tasks(run):
    """The tasks extension is either whole or not shown; the fixture has none."""
    capabilities = run.client.request("server/discover").result["capabilities"]
    check("io.modelcontextprotocol/tasks" not in capabilities.get("extensions", {}), "no tasks extension", capabilities)


@scenario("log-level")
def log_level(run):
    """Log messages ride the call's stream when, and only when, the request opted in at their level."""
    for level, count in (("debug", 3), ("info", 3), ("warning", 0)):
        outcome = run.client.call("test_tool_with_logging", meta={PREFIX + "logLevel": level})
        expect(len(outcome.of("notifications/message")), count, "log messages at logLevel " + level)


@scenario("log-level-while-listening")
def log_while_listening(run):
    """An open subscription is no call that could have logged."""
    stream = run.client.open("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    within(lambda: next(stream.messages()))
    outcome = run.client.call("test_tool_with_logging", meta={PREFIX + "logLevel": "info"})
    expect(len(outcome.of("notifications/message")), 3, "log messages of a call while a listen is open")
    stream.close()


@scenario("log-level-after-abandoned")
def log_after_abandoned(run):
    """A call that waits for answers of its client does not log meanwhile."""
    capabilities = {"elicitation": {}}
    asking = run.client.call("test_input_required_result_elicitation", capabilities=capabilities)
    expect(asking.result["resultType"], "input_required", "resultType")
    outcome = run.client.call("test_tool_with_logging", meta={PREFIX + "logLevel": "info"}, capabilities=capabilities)
    expect(len(outcome.of("notifications/message")), 3, "log messages of a call after another asked")


@scenario("log-level-at-once")
def log_at_once(run):
    """Two calls log at the same time. Over STDIO a log message names no call, so it may be lost; it may not come to the wrong one."""
    outcomes = []

    def one(index):
        level = {} if index else {PREFIX + "logLevel": "info"}
        outcomes.append((index, run.client.call("test_tool_with_logging", meta=level)))
    together(2, one)
    for index, outcome in outcomes:
        count = len(outcome.of("notifications/message"))
        check(count <= (0 if index else 3), "no log message, or up to 3 where a level was set", count)


for group in (modern_stateless, modern_listen, modern_headers, modern_input):
    SCENARIOS.update(group.SCENARIOS)


class Run:
    def __init__(self, endpoint, control=None):
        self.endpoint, self.client = endpoint, ModernClient(endpoint)
        self.control = control and ModernClient(control)

    def end_scenario(self):
        try:
            self.client.settle()
        except (OSError, AssertionError):
            self.client.asked.clear()
        self.endpoint.close()

    def reset(self):
        self.end_scenario()
