"""One session of a real SDK over STDIO: python stdio_client.py [auto|legacy|modern] COMMAND … ; prints one JSON object.

Lists tools, calls `echo`, `progress` or `count`, and `greet` or `ask` with an elicitation that is accepted."""
import asyncio, importlib.metadata, json, sys
import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client

VERSION = importlib.metadata.version("mcp")
progress, asked = [], []


async def on_progress(done, total, message):
    progress.append([done, total, message])


async def on_ask(context, params):
    from mcp.types import ElicitResult
    asked.append(params.message)
    return ElicitResult(action="accept", content={"name": "Ann"})


async def talk(session):
    names = sorted(tool.name for tool in (await session.list_tools()).tools)
    text = {}
    for name, arguments in [("echo", {"text": "h\u00e9"}), ("progress", {}), ("count", {}), ("greet", {}), ("ask", {})]:
        if name in names:
            result = await session.call_tool(name, arguments, progress_callback=on_progress)
            text[name] = result.content[0].text
    return {"sdk": VERSION, "tools": names, "text": text, "progress": progress, "asked": asked}


async def main():
    mode, command, *arguments = sys.argv[1:]
    parameters = StdioServerParameters(command=command, args=arguments)
    if VERSION.startswith("1."):
        async with stdio_client(parameters) as (read, write):
            async with mcp.ClientSession(read, write, elicitation_callback=on_ask) as session:
                started = await session.initialize()
                answer = await talk(session)
                answer["version"] = started.protocolVersion
    else:
        from mcp.client import Client
        async with Client(stdio_client(parameters), mode=mode, elicitation_callback=on_ask) as client:
            answer = await talk(client)
            answer["version"] = str(client.protocol_version)
    print(json.dumps(answer))


asyncio.run(main())
