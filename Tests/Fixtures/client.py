"""One MCP session of a real SDK: python client.py URL TOKEN [auto|legacy|sse] TOOL JSON …; prints one JSON object.

Works with mcp 2.x (both eras) and 1.x (legacy only); `sse` is the transport of 2024-11-05: the result is what the SDK's own models say."""
import asyncio, json, sys
import mcp, importlib.metadata

VERSION = importlib.metadata.version("mcp")

async def with_session(session, calls):
    listed = await session.list_tools()
    results = []
    for name, arguments in calls:
        result = await session.call_tool(name, json.loads(arguments))
        results.append({"tool": name, "isError": bool(getattr(result, "isError", getattr(result, "is_error", False))),
                        "text": [getattr(c, "text", None) for c in result.content]})
    return {"sdk": VERSION, "tools": sorted(t.name for t in listed.tools), "results": results}

async def legacy_1x(url, headers, calls):
    from mcp.client.streamable_http import streamablehttp_client
    async with streamablehttp_client(url, headers=headers) as (read, write, _):
        async with mcp.ClientSession(read, write) as session:
            started = await session.initialize()
            answer = await with_session(session, calls)
            answer["version"] = started.protocolVersion
            return answer

async def old_1x(url, headers, calls):
    from mcp.client.sse import sse_client
    async with sse_client(url, headers=headers) as (read, write):
        async with mcp.ClientSession(read, write) as session:
            started = await session.initialize()
            answer = await with_session(session, calls)
            answer["version"] = started.protocolVersion
            return answer

async def old_2x(url, headers, calls):
    from mcp.client import Client
    from mcp.client.sse import sse_client
    async with Client(sse_client(url, headers=headers)) as client: # which asks for the newer revision first
        answer = await with_session(client, calls)
        answer["version"] = str(client.protocol_version)
        return answer

async def modern_2x(url, headers, mode, calls):
    import httpx2 as httpx
    from mcp.client import Client
    from mcp.client.streamable_http import streamable_http_client
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            answer = await with_session(client, calls)
            answer["version"] = str(client.protocol_version)
            return answer

async def main():
    url, token, mode, *rest = sys.argv[1:]
    headers = {"Authorization": "Bearer " + token}
    calls = list(zip(rest[::2], rest[1::2]))
    if VERSION.startswith("1."):
        run = old_1x(url, headers, calls) if mode == "sse" else legacy_1x(url, headers, calls)
    else:
        run = old_2x(url, headers, calls) if mode == "sse" else modern_2x(url, headers, mode, calls)
    print(json.dumps(await run))

asyncio.run(main())
