"""A STDIO server of the real SDK, mcp 2.x or 1.x, with one tool."""
try:
    from mcp.server import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server

server = Server("sdk")


@server.tool()
def echo(text: str) -> str:
    """Answers its text."""
    return text


server.run("stdio")
