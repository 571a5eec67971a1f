"""A server of 2024-11-05 by the SDK (mcp 1.x): python old_sse.py; prints its URL, then each request's method."""
import os, socket, sys
import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel

server = FastMCP("old-sse")


class Who(BaseModel):
    name: str


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


class Log:
    def __init__(self, app): self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http": print(scope["method"], scope["path"], file=sys.stderr, flush=True)
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http" and scope["method"] == "GET": print("GET over", file=sys.stderr, flush=True)


# What `mcp.run(transport="sse")` serves, on a port of its own choice.
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print("http://127.0.0.1:%d/sse" % listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(Log(server.sse_app()), log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])
