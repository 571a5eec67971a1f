"""`input-required-result-*`: a result asks, the client repeats the request with answers."""

import time

import content
from client import check, expect
from expected import registry, together

SCENARIOS, scenario = registry("input-required-result-")
ALL = {"elicitation": {}, "sampling": {}, "roots": {}}
ROOTS = {"roots": [{"uri": "file:///home", "name": "home"}]}
SAMPLED = {"role": "assistant", "content": content.text("Paris"), "model": "test-model", "stopReason": "endTurn"}


def tool(name):
    return "test_input_required_result_" + name


def accept(**values):
    return {"action": "accept", "content": values}


BY_METHOD = {"elicitation/create": accept(name="Alice"), "sampling/createMessage": SAMPLED, "roots/list": ROOTS}


def answered(run, name, outcome, **more):
    """Round after round, to the result that does not ask."""
    for _ in range(5):
        if outcome.result.get("resultType") != "input_required":
            break
        answers = {key: BY_METHOD[request["method"]] for key, request in outcome.result["inputRequests"].items()}
        outcome = again(run, name, outcome, answers, **more)
    return outcome


def asked(outcome, *wanted):
    """The keys of an InputRequiredResult by method; `wanted` are the methods, in any order."""
    result = outcome.result
    expect(result.get("resultType"), "input_required", "resultType")
    requests = result.get("inputRequests") or {}
    expect(sorted(each["method"] for each in requests.values()), sorted(wanted), "methods of inputRequests")
    return {request["method"]: key for key, request in requests.items()}


def again(run, name, first, answers, **more):
    capabilities = more.pop("capabilities", ALL)
    state = more.pop("state", first.result.get("requestState"))
    return run.client.call(tool(name), inputResponses=answers, requestState=state, capabilities=capabilities, **more)


def completed(outcome, wanted):
    expect(outcome.result.get("resultType"), "complete", "resultType of the retry")
    expect(outcome.result["content"], [content.text(wanted)], "content of the retry")


@scenario("basic-elicitation")
def elicitation(run):
    first = run.client.call(tool("elicitation"), capabilities=ALL)
    keys = asked(first, "elicitation/create")
    params = first.result["inputRequests"][keys["elicitation/create"]]["params"]
    expect((params["message"], params["requestedSchema"]), ("What is your name?", content.NAME_FORM), "the form")
    completed(again(run, "elicitation", first, {keys["elicitation/create"]: accept(name="Alice")}), "Hello, Alice!")


@scenario("server-keys")
def server_keys(run):
    """Keys are the server's: a modern one's arrive as it chose them."""
    first = run.client.call(tool("elicitation"), capabilities=ALL)
    expect(list(first.result["inputRequests"]), ["user_name"], "keys of inputRequests")


@scenario("declined")
def declined(run):
    first = run.client.call(tool("elicitation"), capabilities=ALL)
    keys = asked(first, "elicitation/create")
    completed(again(run, "elicitation", first, {keys["elicitation/create"]: {"action": "cancel"}}), "Hello, nobody!")


@scenario("url-elicitation")
def url(run):
    """The other mode of a question: a page to visit, and no form."""
    capabilities = {"elicitation": {"form": {}, "url": {}}}
    first = run.client.call(tool("url"), capabilities=capabilities)
    key = asked(first, "elicitation/create")["elicitation/create"]
    params = first.result["inputRequests"][key]["params"]
    expect([params.get(name) for name in ("mode", "url")], ["url", "https://example.com/sign-in"], "mode and url")
    completed(again(run, "url", first, {key: {"action": "accept"}}, capabilities=capabilities), "sign-in: accept")


@scenario("basic-sampling")
def sampling(run):
    first = run.client.call(tool("sampling"), capabilities=ALL)
    keys = asked(first, "sampling/createMessage")
    completed(again(run, "sampling", first, {keys["sampling/createMessage"]: SAMPLED}), "Paris")


@scenario("basic-list-roots")
def roots(run):
    first = run.client.call(tool("list_roots"), capabilities=ALL)
    keys = asked(first, "roots/list")
    completed(again(run, "list_roots", first, {keys["roots/list"]: ROOTS}), "roots: file:///home")


@scenario("request-state")
def state(run):
    first = run.client.call(tool("request_state"), capabilities=ALL)
    keys = asked(first, "elicitation/create")
    check(isinstance(first.result.get("requestState"), str) and first.result["requestState"], "requestState", first.result)
    completed(again(run, "request_state", first, {keys["elicitation/create"]: accept(ok=True)}), "state-ok")


@scenario("multiple-input-requests")
def multiple(run):
    first = run.client.call(tool("multiple_inputs"), capabilities=ALL)
    keys = asked(first, "elicitation/create", "sampling/createMessage", "roots/list")
    check(first.result.get("requestState"), "requestState", first.result)
    answers = {
        keys["elicitation/create"]: accept(name="Alice"), keys["sampling/createMessage"]: SAMPLED, keys["roots/list"]: ROOTS,
    }
    completed(again(run, "multiple_inputs", first, answers), "Paris Alice (1 roots)")


@scenario("multi-round")
def rounds(run):
    first = run.client.call(tool("multi_round"), capabilities=ALL)
    one = asked(first, "elicitation/create")["elicitation/create"]
    second = again(run, "multi_round", first, {one: accept(name="Alice")})
    two = asked(second, "elicitation/create")["elicitation/create"]
    check(second.result["requestState"] != first.result["requestState"], "another requestState", second.result)
    completed(again(run, "multi_round", second, {two: accept(color="blue")}), "Alice likes blue")


@scenario("missing-input-response")
def missing(run):
    first = run.client.call(tool("elicitation"), capabilities=ALL)
    for answers in ({}, {"wrong_key": accept(data="wrong")}):
        first = again(run, "elicitation", first, answers)
        asked(first, "elicitation/create")
    key = asked(first, "elicitation/create")["elicitation/create"]
    completed(again(run, "elicitation", first, {key: accept(name="Alice")}), "Hello, Alice!")


@scenario("answers-without-state")
def without_state(run):
    """The suite's own form of the above: answers that nothing asked for, and no requestState."""
    fresh = run.client.call(tool("elicitation"), inputResponses={"wrong_key": accept(data="wrong")}, capabilities=ALL)
    asked(fresh, "elicitation/create")


@scenario("one-by-one")
def one_by_one(run):
    """Whatever is asked in a round is answered, until nothing is asked: three questions in one round or in three."""
    completed(answered(run, "multiple_inputs", run.client.call(tool("multiple_inputs"), capabilities=ALL)), "Paris Alice (1 roots)")


@scenario("abandoned")
def abandoned(run):
    """A client need not come back with answers, and what it left must not hold up its other calls."""
    asked(run.client.call(tool("elicitation"), capabilities=ALL), "elicitation/create")
    outcome = run.client.call(tool("multiple_inputs"), capabilities=ALL, seconds=8)
    # What a person takes to answer: all that a server asks at once has come by then. Another call could not find out: a question
    # that comes while it runs would be taken for its own.
    time.sleep(0.3)
    completed(answered(run, "multiple_inputs", outcome, seconds=8), "Paris Alice (1 roots)")


@scenario("at-once")
def at_once(run):
    """Calls of one client at the same time, each with its question: each completes with its own result."""
    wanted = {"elicitation": "Hello, Alice!", "sampling": "Paris", "list_roots": "roots: file:///home"}

    def one(index):
        name = list(wanted)[index]
        completed(answered(run, name, run.client.call(tool(name), capabilities=ALL)), wanted[name])
    together(3, one)


@scenario("partial-responses")
def partial(run):
    """The form is not answered in the first round: it is asked for again, and the call completes with it."""
    outcome = run.client.call(tool("multiple_inputs"), capabilities=ALL)
    is_held = True
    for _ in range(5):
        if outcome.result.get("resultType") != "input_required":
            break
        asked_now = outcome.result["inputRequests"]
        answers = {key: BY_METHOD[request["method"]] for key, request in asked_now.items()}
        form = [key for key, request in asked_now.items() if request["method"] == "elicitation/create"]
        if is_held and form:
            is_held = False
            answers.pop(form[0])
        outcome = again(run, "multiple_inputs", outcome, answers)
    completed(outcome, "Paris Alice (1 roots)")


@scenario("non-tool-request")
def prompt(run):
    name = {"name": tool("prompt")}
    first = run.client.request("prompts/get", name, capabilities=ALL)
    key = asked(first, "elicitation/create")["elicitation/create"]
    retry = name | {"inputResponses": {key: accept(context="a test")}}
    if "requestState" in first.result:
        retry["requestState"] = first.result["requestState"]
    second = run.client.request("prompts/get", retry, capabilities=ALL).result
    expect((second["resultType"], second["messages"]), ("complete", [content.user(content.text("Context: a test"))]), "the prompt")


@scenario("result-type")
def result_type(run):
    expect(run.client.call("test_simple_text").result.get("resultType"), "complete", "resultType of a plain call")
    asking = run.client.call(tool("elicitation"), capabilities=ALL)
    expect(asking.result.get("resultType"), "input_required", "resultType of one that asks")


@scenario("unsupported-methods")
def unsupported(run):
    """Only tools/call, prompts/get and resources/read may ask; elsewhere the answers are no reason to fail."""
    extra = {"inputResponses": {"x": accept(y="z")}}
    for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"):
        expect(run.client.request(method, extra, capabilities=ALL).result["resultType"], "complete", "resultType of " + method)


@scenario("tampered-state")
def tampered(run):
    first = run.client.call(tool("tampered_state"), capabilities=ALL)
    key = asked(first, "elicitation/create")["elicitation/create"]
    state = first.result["requestState"]
    middle = len(state) // 2
    changed = state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1:]
    for bad in (changed, state[:-4], "invented"):
        outcome = again(run, "tampered_state", first, {key: accept(ok=True)}, state=bad)
        expect((outcome.status, outcome.error["code"]), (400, -32602), "status and code for a state that was changed")
    completed(again(run, "tampered_state", first, {key: accept(ok=True)}), "state-ok")


@scenario("foreign-state")
def foreign(run):
    """A state belongs to the request that it was given to."""
    first = run.client.call(tool("request_state"), capabilities=ALL)
    key = asked(first, "elicitation/create")["elicitation/create"]
    outcome = again(run, "tampered_state", first, {key: accept(ok=True)})
    expect(outcome.error["code"], -32602, "code for another tool's state")


@scenario("capability-check")
def capability(run):
    kinds = {"sampling": "sampling/createMessage", "elicitation": "elicitation/create", "roots": "roots/list"}
    for name, method in kinds.items():
        asked(run.client.call(tool("capabilities"), capabilities={name: {}}, seconds=8), method)
        run.client.settle()
    completed(run.client.call(tool("capabilities"), capabilities={}), "asked: ")


@scenario("ignore-extra-params")
def extra(run):
    first = run.client.call(tool("elicitation"), capabilities=ALL)
    key = asked(first, "elicitation/create")["elicitation/create"]
    answers = {key: accept(name="Alice"), "unasked": accept(name="Mallory"), "another": SAMPLED}
    completed(again(run, "elicitation", first, answers), "Hello, Alice!")


@scenario("validate-input")
def validate(run):
    """An answer of a wrong shape is asked for again or refused, never taken and never a crash."""
    for bad in ({"action": "accept", "content": {"name": 123}}, {"action": "accept"}, {"action": "perhaps"}, "text", 7):
        first = run.client.call(tool("elicitation"), capabilities=ALL)
        key = asked(first, "elicitation/create")["elicitation/create"]
        outcome = again(run, "elicitation", first, {key: bad})
        if "error" in outcome.response:
            expect((outcome.status, outcome.error["code"]), (400, -32602), "status and code for the answer %s" % bad)
        else:
            asked(outcome, "elicitation/create")
    check(run.client.call("test_simple_text").result["content"], "a server that still answers", None)


@scenario("new-id")
def new_id(run):
    """The retry may have any id, another type too."""
    first = run.client.call(tool("elicitation"), capabilities=ALL, identity=1)
    key = asked(first, "elicitation/create")["elicitation/create"]
    completed(again(run, "elicitation", first, {key: accept(name="Alice")}, identity="retry"), "Hello, Alice!")
