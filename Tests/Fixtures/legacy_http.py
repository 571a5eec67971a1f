"""A server of the handshake revisions over streamable HTTP, by the SDK (mcp 1.x): python legacy_http.py; prints its URL.

Every request must carry the bearer token `BERTH_FIXTURE_TOKEN`, where that is set."""
import os, socket, sys
import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel, Field

server = FastMCP("legacy-http", instructions="A fixture.")


class Who(BaseModel):
    name: str = Field(description="Who asks")
    age: int = 7


@server.tool()
async def greet(context: Context) -> str:
    "Asks who is there."
    answer = await context.elicit("who?", Who)
    return "%s %s" % (answer.action, getattr(answer, "data", None))


@server.tool()
async def count(context: Context, steps: int = 3) -> str:
    "Tells its progress."
    for step in range(steps):
        await context.report_progress(step + 1, steps, "step %d" % (step + 1))
    return "counted"


@server.tool()
async def change(context: Context) -> str:
    "Says that the list of tools changed."
    await context.session.send_tool_list_changed()
    return "changed"


@server.resource("data://text")
def text() -> str:
    "Some text."
    return "a text"


@server.resource("data://bytes", mime_type="application/x-bytes")
def data() -> bytes:
    return bytes(range(256))


@server.resource("data://of/{name}")
def of(name: str) -> str:
    return "of " + name


@server.prompt()
def review(code: str) -> str:
    "Reviews code."
    return "Please review " + code


@server.completion()
async def complete(ref, argument, context):
    from mcp.types import Completion
    return Completion(values=[argument.value + "-one", argument.value + "-two"], hasMore=False)


class Guard:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        wanted = os.environ.get("BERTH_FIXTURE_TOKEN")
        if scope["type"] == "http":
            print(scope["method"], file=sys.stderr, flush=True)
            if wanted and dict(scope["headers"]).get(b"authorization") != b"Bearer " + wanted.encode():
                await send({"type": "http.response.start", "status": 401, "headers": []})
                return await send({"type": "http.response.body", "body": b"no token"})
        await self.app(scope, receive, send)


def serve(app, path):
    "What `mcp.run()` does, on a port of its own choice."
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print("http://127.0.0.1:%d%s" % (listener.getsockname()[1], path), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])


if __name__ == "__main__": serve(Guard(server.streamable_http_app()), "/mcp")
