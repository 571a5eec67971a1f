"""The server of `legacy_http.py` over HTTP+SSE of 2024-11-05, by the SDK (mcp 1.x): python old_sse.py; prints its URL, then each request's method."""
import sys
from legacy_http import serve, server


class Log:
    def __init__(self, app): self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http": print(scope["method"], scope["path"], file=sys.stderr, flush=True)
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http" and scope["method"] == "GET": print("GET over", file=sys.stderr, flush=True)


serve(Log(server.sse_app()), "/sse")
