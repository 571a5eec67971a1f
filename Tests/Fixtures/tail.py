"""A server that writes thousands of lines that are no messages, then its answer, and ends."""
import os
import sys
import fixture


@fixture.tool
def farewell(call, lines=10_000):
    "Answers behind many lines, and ends."
    with call.server.lock:
        sys.stdout.buffer.write(b"x\n" * lines)
        sys.stdout.buffer.flush()
    call.server.answer(call.id, {"content": [{"type": "text", "text": "bye"}]})
    os._exit(0)


fixture.Server().run()
