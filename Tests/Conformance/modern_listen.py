"""`subscriptions/listen`: acknowledged first, tagged, only what was asked for."""

from client import PREFIX, check, expect, within
from expected import registry
import content

SCENARIOS, scenario = registry("server-stateless/")
TAG = PREFIX + "subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


def listen(run, identity, **kinds):
    """An open stream whose acknowledgement was read, and the acknowledgement."""
    stream = run.client.open("subscriptions/listen", {"notifications": kinds}, identity=identity)
    expect(stream.status, 200, "status of subscriptions/listen")
    messages = stream.messages()
    first = within(lambda: next(messages, None))
    check(first and first.get("method") == ACKNOWLEDGED, ACKNOWLEDGED + " first", first)
    return stream, messages, first


def tagged(message, identity):
    expect((message["params"].get("_meta") or {}).get(TAG), identity, "subscriptionId of %s" % message["method"])


@scenario("listen-acknowledged")
def acknowledged(run):
    for identity in (41, "forty-one"):
        stream, _, first = listen(run, identity, toolsListChanged=True, promptsListChanged=True)
        expect(first["params"]["notifications"], {"toolsListChanged": True, "promptsListChanged": True}, "the honoured filter")
        tagged(first, identity)
        stream.close()


@scenario("listen-tools-changed")
def tools_changed(run):
    stream, messages, _ = listen(run, "t", toolsListChanged=True)
    run.client.call("test_trigger_tool_change")
    message = within(lambda: next(messages))
    expect(message["method"], "notifications/tools/list_changed", "the notification")
    tagged(message, "t")
    stream.close()


@scenario("listen-prompts-changed")
def prompts_changed(run):
    stream, messages, _ = listen(run, 42, promptsListChanged=True)
    run.client.call("test_trigger_prompt_change")
    message = within(lambda: next(messages))
    expect(message["method"], "notifications/prompts/list_changed", "the notification")
    tagged(message, 42)
    stream.close()


@scenario("listen-resource-updated")
def resource_updated(run):
    stream, messages, _ = listen(run, "r", resourceSubscriptions=[content.WATCHED["uri"]])
    run.client.call("test_trigger_resource_change")
    message = within(lambda: next(messages))
    expect((message["method"], message["params"].get("uri")), ("notifications/resources/updated", content.WATCHED["uri"]), "the notification")
    tagged(message, "r")
    stream.close()


@scenario("listen-filter")
def filtered(run):
    """A change of tools, then one of prompts, to who asked for prompts: the first that comes is of prompts."""
    stream, messages, _ = listen(run, "f", promptsListChanged=True)
    run.client.call("test_trigger_tool_change")
    run.client.call("test_trigger_resource_change")
    run.client.call("test_trigger_prompt_change")
    expect(within(lambda: next(messages))["method"], "notifications/prompts/list_changed", "the first notification")
    stream.close()


@scenario("listen-two")
def two(run):
    """Several listens of one client are legal; each has its own tag."""
    first, first_messages, _ = listen(run, "one", toolsListChanged=True)
    second, second_messages, _ = listen(run, "two", toolsListChanged=True)
    run.client.call("test_trigger_tool_change")
    tagged(within(lambda: next(first_messages)), "one")
    tagged(within(lambda: next(second_messages)), "two")
    first.close()
    run.client.call("test_trigger_tool_change")
    tagged(within(lambda: next(second_messages)), "two")
    second.close()
