"""The fixture on `mcp` 1.x, legacy only: python legacy_server.py (stdio) or python legacy_server.py --http."""

import asyncio
import sys

from mcp import types
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import McpError
from mcp.shared.message import ServerMessageMetadata

import content
import tools

SERVER = Server("berth-conformance-legacy", version="1.0")
CLIENT_RESULTS = {
    "elicitation/create": (types.ElicitRequest, types.ElicitResult),
    "sampling/createMessage": (types.CreateMessageRequest, types.CreateMessageResult),
    "roots/list": (types.ListRootsRequest, types.ListRootsResult),
}
CHANGES = {"tools": types.ToolListChangedNotification, "prompts": types.PromptListChangedNotification}


class SDKCaller(tools.Caller):
    def __init__(self):
        self.context = SERVER.request_context
        self.session = self.context.session
        declared = self.session.client_params.capabilities
        self.declared = frozenset(name for name in ("sampling", "elicitation", "roots") if getattr(declared, name) is not None)

    async def ask(self, requests, state=None):
        answers = await asyncio.gather(*(self.send(request) for request in requests.values()))
        self.state = state or self.state
        return dict(zip(requests, answers))

    async def send(self, request):
        kind, result = CLIENT_RESULTS[request["method"]]
        metadata = ServerMessageMetadata(related_request_id=self.context.request_id)
        while True:
            answer = await self.session.send_request(types.ServerRequest(kind.model_validate(request)), result, metadata=metadata)
            answer = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
            if tools.fits(request, answer):
                return answer

    async def log(self, line):
        await self.session.send_log_message("info", line, logger="fixture", related_request_id=self.context.request_id)

    async def progress(self, value):
        token = self.context.meta.progressToken if self.context.meta else None
        if token is not None:
            await self.session.send_progress_notification(
                token, value, 100, "Completed step %d of 100" % value, related_request_id=str(self.context.request_id))

    async def close_stream(self):
        if self.context.close_sse_stream:
            await self.context.close_sse_stream()

    async def changed(self, kind):
        if kind in CHANGES:
            method = "notifications/%s/list_changed" % kind
            await self.session.send_notification(types.ServerNotification(CHANGES[kind](method=method)))
        elif kind in tools.subscribed(self.session):
            await self.session.send_resource_updated(kind)


async def list_tools(request):
    return types.ListToolsResult.model_validate({"tools": tools.LISTED})


async def call_tool(request):
    result = await tools.call(SDKCaller(), request.params.name, request.params.arguments)
    if result is None:
        raise McpError(types.ErrorData(code=-32602, message="unknown tool: " + request.params.name))
    return types.CallToolResult.model_validate(result)


async def list_resources(request):
    return types.ListResourcesResult.model_validate({"resources": content.RESOURCES})


async def list_templates(request):
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": content.TEMPLATES})


async def read_resource(request):
    found = content.read(str(request.params.uri))
    if found is None:
        raise McpError(types.ErrorData(code=-32002, message="resource not found", data={"uri": str(request.params.uri)}))
    return types.ReadResourceResult.model_validate({"contents": [found]})


async def list_prompts(request):
    return types.ListPromptsResult.model_validate({"prompts": content.PROMPTS})


async def get_prompt(request):
    messages = await tools.prompt(SDKCaller(), request.params.name, request.params.arguments or {})
    if messages is None:
        raise McpError(types.ErrorData(code=-32602, message="unknown prompt: " + request.params.name))
    return types.GetPromptResult.model_validate({"messages": messages})


async def complete(request):
    values = [each for each in ("paris", "park", "party") if each.startswith(request.params.argument.value)]
    return types.CompleteResult.model_validate({"completion": {"values": values, "total": len(values), "hasMore": False}})


async def subscribe(request):
    tools.subscribed(SERVER.request_context.session).add(str(request.params.uri))
    return types.EmptyResult()


async def unsubscribe(request):
    tools.subscribed(SERVER.request_context.session).discard(str(request.params.uri))
    return types.EmptyResult()


async def nothing(request):
    return types.EmptyResult()


HANDLERS = {
    types.ListToolsRequest: list_tools, types.CallToolRequest: call_tool, types.ListResourcesRequest: list_resources,
    types.ListResourceTemplatesRequest: list_templates, types.ReadResourceRequest: read_resource,
    types.ListPromptsRequest: list_prompts, types.GetPromptRequest: get_prompt, types.CompleteRequest: complete,
    types.SetLevelRequest: nothing, types.SubscribeRequest: subscribe, types.UnsubscribeRequest: unsubscribe,
}


def answering(handler):
    async def handle(request):
        return types.ServerResult(await handler(request))
    return handle


def make():
    SERVER.request_handlers |= {kind: answering(handler) for kind, handler in HANDLERS.items()}
    plain, capabilities = SERVER.create_initialization_options, SERVER.get_capabilities

    def declared(*arguments, **named):
        found = capabilities(*arguments, **named)
        found.resources.subscribe = True  # the SDK has no way to say it
        return found
    SERVER.get_capabilities = declared
    SERVER.create_initialization_options = lambda *_, **__: plain(NotificationOptions(True, True, True))
    return SERVER


async def stdio():
    server = make()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def http():
    import contextlib

    import http_server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.routing import Mount
    local = ["127.0.0.1:*", "localhost:*"]
    security = TransportSecuritySettings(allowed_hosts=local, allowed_origins=["http://" + name for name in local])
    manager = StreamableHTTPSessionManager(
        make(), event_store=http_server.Events(), retry_interval=100, security_settings=security)

    @contextlib.asynccontextmanager
    async def running(app):
        async with manager.run():
            yield
    app = Starlette(routes=[Mount("/mcp", manager.handle_request)], lifespan=running)
    http_server.serve(app, "/mcp/")


if sys.argv[1:2] == ["--http"]:
    http()
else:
    asyncio.run(stdio())
