"""The fixture on `mcp` 2.x, both eras: python server.py (stdio) or python server.py --http (the SDK's own HTTP)."""

import asyncio
import sys
import warnings

import mcp_types as types
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ResourceUpdated, ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

import content
import tools

warnings.simplefilter("ignore")
NAME = "berth-conformance"
BUS = InMemorySubscriptionBus()
CLIENT_RESULTS = {
    "elicitation/create": (types.ElicitRequest, types.ElicitResult),
    "sampling/createMessage": (types.CreateMessageRequest, types.CreateMessageResult),
    "roots/list": (types.ListRootsRequest, types.ListRootsResult),
}
CHANGES = {
    "tools": (ToolsListChanged, types.ToolListChangedNotification),
    "prompts": (PromptsListChanged, types.PromptListChangedNotification),
}


def wire(model):
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


class SDKCaller(tools.Caller):
    def __init__(self, context, params):
        self.context, self.session = context, context.session
        self.is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        self.state = getattr(params, "request_state", None) or ""
        self.answers = {key: wire(value) for key, value in (getattr(params, "input_responses", None) or {}).items()}
        declared = self.session.client_capabilities
        self.declared = frozenset(
            name for name in ("sampling", "elicitation", "roots") if getattr(declared, name, None) is not None)

    async def ask(self, requests, state=None):
        if self.is_modern:
            if any(key not in self.answers or not tools.fits(requests[key], self.answers[key]) for key in requests):
                raise tools.NeedInput(requests, state)
            return {key: self.answers[key] for key in requests}
        answers = await asyncio.gather(*(self.send(request) for request in requests.values()))
        self.state = state or self.state
        return dict(zip(requests, answers))

    async def send(self, request):
        kind, result = CLIENT_RESULTS[request["method"]]
        metadata = ServerMessageMetadata(related_request_id=self.context.request_id)
        while True:
            answer = wire(await self.session.send_request(kind.model_validate(request), result, metadata=metadata))
            if tools.fits(request, answer):
                return answer

    async def log(self, line):
        await self.session.send_log_message("info", line, logger="fixture", related_request_id=self.context.request_id)

    async def progress(self, value):
        await self.session.report_progress(value, 100, "Completed step %d of 100" % value)

    async def changed(self, kind):
        event, notification = CHANGES.get(kind, (None, None))
        await BUS.publish(event() if event else ResourceUpdated(uri=kind))
        if not self.is_modern:
            if notification:
                await self.session.send_notification(notification())
            elif kind in tools.subscribed(self.session._connection):
                await self.session.send_resource_updated(kind)

    async def close_stream(self):
        if self.context.close_sse_stream:
            await self.context.close_sse_stream()

    def missing(self, capability):
        if not self.is_modern:
            return super().missing(capability)
        return MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "needs " + capability, {"requiredCapabilities": {capability: {}}})


def input_required(need):
    return types.InputRequiredResult.model_validate(
        {"resultType": "input_required", "inputRequests": need.requests} | ({"requestState": need.state} if need.state else {}))


async def list_tools(context, params):
    return types.ListToolsResult.model_validate({"tools": tools.LISTED})


async def call_tool(context, params):
    try:
        result = await tools.call(SDKCaller(context, params), params.name, params.arguments)
    except tools.NeedInput as need:
        return input_required(need)
    if result is None:
        raise MCPError(types.INVALID_PARAMS, "unknown tool: " + params.name)
    return types.CallToolResult.model_validate(result)


async def list_resources(context, params):
    return types.ListResourcesResult.model_validate({"resources": content.RESOURCES})


async def list_templates(context, params):
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": content.TEMPLATES})


async def read_resource(context, params):
    found = content.read(str(params.uri))
    if found is None:
        is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        raise MCPError(-32602 if is_modern else -32002, "resource not found", {"uri": str(params.uri)})
    return types.ReadResourceResult.model_validate({"contents": [found]})


async def list_prompts(context, params):
    return types.ListPromptsResult.model_validate({"prompts": content.PROMPTS})


async def get_prompt(context, params):
    try:
        messages = await tools.prompt(SDKCaller(context, params), params.name, params.arguments or {})
    except tools.NeedInput as need:
        return input_required(need)
    if messages is None:
        raise MCPError(types.INVALID_PARAMS, "unknown prompt: " + params.name)
    return types.GetPromptResult.model_validate({"messages": messages})


async def complete(context, params):
    values = [each for each in ("paris", "park", "party") if each.startswith(params.argument.value)]
    return types.CompleteResult.model_validate({"completion": {"values": values, "total": len(values), "hasMore": False}})


async def subscribe(context, params):
    # The SDK has no public name for what the requests of one session have in common.
    tools.subscribed(context.session._connection).add(str(params.uri))
    return types.EmptyResult()


async def unsubscribe(context, params):
    tools.subscribed(context.session._connection).discard(str(params.uri))
    return types.EmptyResult()


async def nothing(context, params):
    return types.EmptyResult()


def make():
    schemas = {each["name"]: each["inputSchema"] for each in tools.LISTED}
    server = Server(
        NAME, version="1.0", on_list_tools=list_tools, on_call_tool=call_tool, on_list_resources=list_resources,
        on_list_resource_templates=list_templates, on_read_resource=read_resource, on_list_prompts=list_prompts,
        on_get_prompt=get_prompt, on_completion=complete, on_set_logging_level=nothing, on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe, on_subscriptions_listen=ListenHandler(BUS), get_tool_input_schema=schemas.get)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    plain = server.create_initialization_options
    server.create_initialization_options = lambda *_, **__: plain(NotificationOptions(True, True, True))
    return server


async def stdio():
    server = make()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def main():
    if sys.argv[1:2] != ["--http"]:
        return asyncio.run(stdio())
    import http_server
    http_server.serve(make().streamable_http_app(event_store=http_server.Events(), retry_interval=100), "/mcp")


main()
