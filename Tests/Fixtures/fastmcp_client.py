"""One session of fastmcp's own client: python fastmcp_client.py URL TOKEN TOOL JSON …; prints what client.py prints."""
import asyncio, importlib.metadata, json, sys
from fastmcp import Client


async def main():
    url, token, *rest = sys.argv[1:]
    async with Client(url, auth=token) as client:
        tools = await client.list_tools()
        results = []
        for name, arguments in zip(rest[::2], rest[1::2]):
            result = await client.call_tool(name, json.loads(arguments), raise_on_error=False)
            results.append({"tool": name, "isError": result.is_error, "text": [getattr(c, "text", None) for c in result.content]})
        print(json.dumps({"sdk": "fastmcp " + importlib.metadata.version("fastmcp"), "tools": sorted(tool.name for tool in tools), "results": results}))


asyncio.run(main())
