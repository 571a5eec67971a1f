"""A streamable HTTP server of the real SDK, mcp 2.x or 1.x: python http_sdk_server.py PORT."""
import asyncio, os, sys

port = int(sys.argv[1])
try:
    from mcp.server.mcpserver import Context, MCPServer
    server = MCPServer("http-sdk")
    def run(): server.run("streamable-http", port=port)
except ImportError:
    from mcp.server.fastmcp import Context, FastMCP
    server = FastMCP("http-sdk", port=port)
    def run(): server.run("streamable-http")

counts = {}


@server.tool()
def echo(text: str) -> str:
    """Answers its text."""
    return text


@server.tool()
def pid() -> int:
    """The server's process."""
    return os.getpid()


@server.tool()
def count(context: Context) -> int:
    """How often this session has asked."""
    key = context.request_context.request.headers.get("mcp-session-id")
    counts[key] = counts.get(key, 0) + 1
    return counts[key]


@server.tool()
async def steps(context: Context, number: int = 3) -> str:
    """Tells its progress."""
    for step in range(number):
        await context.report_progress(step + 1, number, "step %d" % (step + 1))
    return "done"


@server.tool()
async def sleep(seconds: float) -> str:
    """Takes its time."""
    print("sleeps", flush=True)
    await asyncio.sleep(seconds)
    return "slept"


@server.tool()
def crash() -> str:
    """Ends the process."""
    os._exit(7)


run()
