"""A STDIO server of the real SDK, mcp 2.x or 1.x, with two tools; one asks its client while it runs, which mcp 2.x can in the handshake
revisions only."""
try:
    from mcp.server.mcpserver import Context, MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import Context, FastMCP as Server
from pydantic import BaseModel

server = Server("sdk")


class Who(BaseModel):
    name: str


@server.tool()
def echo(text: str) -> str:
    """Answers its text."""
    return text


@server.tool()
async def ask(context: Context) -> str:
    """Answers who the client says it is."""
    answer = await context.elicit("who?", Who)
    return "%s %s" % (answer.action, answer.data.name)


server.run("stdio")
