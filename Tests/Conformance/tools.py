"""The fixture's tools, once for both SDKs. A tool is an async function of a caller and its arguments; it returns content blocks.

`Caller` is what a server of one era knows of the request: how to ask, log and report. Where the client cannot be asked
within the call, `ask` raises `NeedInput` and the tool runs again, from its beginning, with the answers."""

import asyncio
import json
import weakref

import content
from content import text


class NeedInput(Exception):
    def __init__(self, requests, state):
        super().__init__("input required")
        self.requests, self.state = requests, state


class ToolError(Exception):
    """A failed tool: `isError` with this text."""


class Caller:
    is_modern = False
    state = ""  # what an earlier round left, verified
    declared = frozenset()  # sampling, elicitation, roots

    async def ask(self, requests, state=None):
        """Answers by key: {key: result} for {key: {"method", "params"}}."""
        raise NotImplementedError

    async def log(self, line):
        raise NotImplementedError

    async def progress(self, value):
        raise NotImplementedError

    async def changed(self, kind):
        """`tools`, `prompts`, or a resource's URI."""
        raise NotImplementedError

    async def close_stream(self):
        """Ends the call's HTTP stream early, where there is one."""

    def missing(self, capability):
        """The era's error for a capability that the client did not declare."""
        return ToolError("the client has no " + capability)


def form(message, schema):
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def sampling(question, tokens):
    message = {"role": "user", "content": text(question)}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}


ROOTS = {"method": "roots/list", "params": {}}
# A mode of 2025-11-25; 2026-07-28 has no elicitationId any more.
URL = {"mode": "url", "message": "Please sign in", "url": "https://example.com/sign-in", "elicitationId": "sign-in-1"}
SUBSCRIBED = weakref.WeakKeyDictionary()  # a connection of a handshake revision: its URIs


def subscribed(connection):
    return SUBSCRIBED.setdefault(connection, set())


def fits(request, answer):
    """Whether a form's answer has what the form requires; the other kinds are checked by the SDK."""
    if "requestedSchema" not in request["params"] or answer.get("action") != "accept":
        return True
    schema, values = request["params"]["requestedSchema"], answer.get("content") or {}
    kinds = {"string": str, "boolean": bool}
    return all(isinstance(values.get(name), kinds[schema["properties"][name]["type"]]) for name in schema["required"])


def outcome(answer):
    return "action=%s, content=%s" % (answer["action"], json.dumps(answer.get("content") or {}, sort_keys=True))


async def simple_text(caller, _):
    return [text(content.SIMPLE_TEXT)]


async def image(caller, _):
    return [content.IMAGE]


async def audio(caller, _):
    return [content.AUDIO]


async def embedded_resource(caller, _):
    return [content.EMBEDDED]


async def mixed(caller, _):
    return content.MIXED


async def error(caller, _):
    raise ToolError(content.ERROR_TEXT)


async def logging(caller, _):
    for line in content.LOGS:
        await caller.log(line)
        await asyncio.sleep(0.02)
    return [text("Tool with logging executed successfully")]


async def progress(caller, _):
    for value in (0, 50, 100):
        await caller.progress(value)
        await asyncio.sleep(0.02)
    return [text("Tool with progress executed successfully")]


async def sample(caller, arguments):
    answer = (await caller.ask({"sample": sampling(arguments["prompt"], 100)}))["sample"]
    return [text("LLM response: " + answer["content"]["text"])]


async def elicitation(caller, arguments):
    answer = (await caller.ask({"user": form(arguments["message"], content.USER_FORM)}))["user"]
    return [text("User response: " + outcome(answer))]


async def defaults(caller, _):
    answer = (await caller.ask({"form": form("Please review", content.DEFAULTS_FORM)}))["form"]
    return [text("Elicitation completed: " + outcome(answer))]


async def enums(caller, _):
    answer = (await caller.ask({"form": form("Please choose", content.ENUMS_FORM)}))["form"]
    return [text("Elicitation completed: " + outcome(answer))]


async def reconnection(caller, _):
    await caller.progress(0)  # what opens the call's stream, where it is not open from the beginning
    await caller.close_stream()
    await asyncio.sleep(0.1)
    return [text("Reconnection test completed")]


CANCELLED = []


async def wait(caller, _):
    """Tells that it runs, then waits to be cancelled."""
    await caller.progress(0)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        CANCELLED.append(1)
        raise
    return [text("nobody cancelled")]


async def cancelled(caller, _):
    return [text(str(len(CANCELLED)))]


async def header(caller, arguments):
    return [text("region=%s limit=%s" % (arguments.get("region"), arguments.get("limit")))]


async def missing_capability(caller, _):
    if "sampling" not in caller.declared:
        raise caller.missing("sampling")
    return [text("sampling is there")]


async def streaming_elicitation(caller, _):
    if "elicitation" in caller.declared:
        await caller.ask({"word": form("A word?", content.NAME_FORM)})
    return [text("Streaming complete")]


async def tool_change(caller, _):
    await caller.changed("tools")
    return [text("changed")]


async def prompt_change(caller, _):
    await caller.changed("prompts")
    return [text("changed")]


async def resource_change(caller, _):
    await caller.changed(content.WATCHED["uri"])
    return [text("changed")]


async def input_elicitation(caller, _):
    answer = (await caller.ask({"user_name": form("What is your name?", content.NAME_FORM)}))["user_name"]
    return [text("Hello, %s!" % (answer.get("content") or {}).get("name", "nobody"))]


async def input_url(caller, _):
    fields = {key: value for key, value in URL.items() if key != "elicitationId" or not caller.is_modern}
    answer = (await caller.ask({"sign_in": {"method": "elicitation/create", "params": fields}}))["sign_in"]
    return [text("sign-in: " + answer["action"])]


async def input_sampling(caller, _):
    answer = (await caller.ask({"capital_question": sampling("What is the capital of France?", 100)}))["capital_question"]
    return [text(answer["content"]["text"])]


async def input_roots(caller, _):
    answer = (await caller.ask({"client_roots": ROOTS}))["client_roots"]
    return [text("roots: " + ", ".join(root["uri"] for root in answer["roots"]))]


async def input_state(caller, _):
    await caller.ask({"confirm": form("Please confirm", content.CONFIRM_FORM)}, state="confirming")
    return [text("state-ok" if caller.state == "confirming" else "state-lost")]


async def input_multiple(caller, _):
    answers = await caller.ask({
        "user_name": form("What is your name?", content.NAME_FORM),
        "greeting": sampling("Generate a greeting", 50),
        "client_roots": ROOTS,
    }, state="three")
    name = (answers["user_name"].get("content") or {}).get("name")
    return [text("%s %s (%d roots)" % (answers["greeting"]["content"]["text"], name, len(answers["client_roots"]["roots"])))]


async def input_rounds(caller, _):
    if caller.state.startswith("second "):
        name = caller.state[len("second "):]
    else:
        first = await caller.ask({"step1": form("Step 1: What is your name?", content.NAME_FORM)}, state="first")
        name = (first["step1"].get("content") or {}).get("name", "nobody")
    color_form = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
    second = await caller.ask({"step2": form("Step 2: What is your favorite color?", color_form)}, state="second " + name)
    return [text("%s likes %s" % (name, (second["step2"].get("content") or {}).get("color")))]


async def input_capabilities(caller, _):
    requests = {}
    if "sampling" in caller.declared:
        requests["sample"] = sampling("Anything", 10)
    if "elicitation" in caller.declared:
        requests["ask"] = form("Anything?", content.NAME_FORM)
    if "roots" in caller.declared:
        requests["roots"] = ROOTS
    if requests:
        await caller.ask(requests)
    return [text("asked: " + ", ".join(sorted(requests)))]


async def prompt(caller, name, arguments):
    """Messages, or None for a name that is not there."""
    if name == "test_input_required_result_prompt":
        context_form = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}
        answer = await caller.ask({"user_context": form("What context should the prompt use?", context_form)})
        return [content.user(text("Context: %s" % (answer["user_context"].get("content") or {}).get("context")))]
    return content.prompt(name, arguments)


# name: (function, input schema)
TOOLS = {
    "test_simple_text": (simple_text, content.EMPTY),
    "test_image_content": (image, content.EMPTY),
    "test_audio_content": (audio, content.EMPTY),
    "test_embedded_resource": (embedded_resource, content.EMPTY),
    "test_multiple_content_types": (mixed, content.EMPTY),
    "test_error_handling": (error, content.EMPTY),
    "test_tool_with_logging": (logging, content.EMPTY),
    "test_logging_tool": (logging, content.EMPTY),
    "test_tool_with_progress": (progress, content.EMPTY),
    "test_sampling": (sample, content.one_string("prompt")),
    "test_elicitation": (elicitation, content.one_string("message")),
    "test_elicitation_sep1034_defaults": (defaults, content.EMPTY),
    "test_elicitation_sep1330_enums": (enums, content.EMPTY),
    "test_reconnection": (reconnection, content.EMPTY),
    "test_wait": (wait, content.EMPTY),
    "test_cancelled": (cancelled, content.EMPTY),
    "json_schema_2020_12_tool": (simple_text, content.FULL_SCHEMA),
    "test_x_mcp_header": (header, content.HEADER_SCHEMA),
    "test_missing_capability": (missing_capability, content.EMPTY),
    "test_streaming_elicitation": (streaming_elicitation, content.EMPTY),
    "test_trigger_tool_change": (tool_change, content.EMPTY),
    "test_trigger_prompt_change": (prompt_change, content.EMPTY),
    "test_trigger_resource_change": (resource_change, content.EMPTY),
    "test_input_required_result_elicitation": (input_elicitation, content.EMPTY),
    "test_input_required_result_url": (input_url, content.EMPTY),
    "test_input_required_result_sampling": (input_sampling, content.EMPTY),
    "test_input_required_result_list_roots": (input_roots, content.EMPTY),
    "test_input_required_result_request_state": (input_state, content.EMPTY),
    "test_input_required_result_tampered_state": (input_state, content.EMPTY),
    "test_input_required_result_multiple_inputs": (input_multiple, content.EMPTY),
    "test_input_required_result_multi_round": (input_rounds, content.EMPTY),
    "test_input_required_result_capabilities": (input_capabilities, content.EMPTY),
}
LISTED = [{"name": name, "description": "Fixture " + name, "inputSchema": schema} for name, (_, schema) in TOOLS.items()]


async def call(caller, name, arguments):
    """A CallToolResult as a wire object, or None for an unknown tool."""
    if name not in TOOLS:
        return None
    try:
        return {"content": await TOOLS[name][0](caller, arguments or {})}
    except ToolError as failure:
        return {"content": [text(str(failure))], "isError": True}
