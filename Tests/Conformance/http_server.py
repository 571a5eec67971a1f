"""The SDK's own HTTP for a fixture, on a free loopback port that is printed: the control without a bridge."""

import socket

import uvicorn
from mcp.server.streamable_http import EventMessage, EventStore


class Events(EventStore):
    """Events by number, for clients that come back to a stream."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        first = int(last_event_id)
        if not 0 < first <= len(self.events):
            return None
        stream = self.events[first - 1][0]
        for number, (owner, message) in enumerate(self.events[first:], first + 1):
            if owner == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def serve(app, path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print("http://127.0.0.1:%d%s" % (listener.getsockname()[1], path), flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
