"""Servers that go wrong, each in one way of its own; AS names the way. HostileChildrenTests state what must follow."""
import json
import os
import signal
import subprocess
import sys
import threading

import fixture
from fixture import Silence, tool


def encoded(message):
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def write(data):
    while data:
        data = data[os.write(1, data):]


class SplitFrames(fixture.Server):
    "Writes three bytes at a time, which cuts characters in two."

    def send(self, message):
        line = encoded(message)
        with self.lock:
            for start in range(0, len(line), 3):
                write(line[start:start + 3])


class LoudStart(fixture.Server):
    "Fills every buffer of stderr, without an end of line, before it has read a byte, and again before each answer."

    def flood(self):
        sys.stderr.write("x" * (1 << 20))
        sys.stderr.flush()

    def run(self):
        self.flood()
        super().run()

    def send(self, message):
        self.flood()
        super().send(message)


class DiesInHandshake(fixture.Server):
    "Dies over `initialize`, half of its answer written."

    def initialize(self, message):
        sys.stderr.write("no licence\n")
        sys.stderr.flush()
        write(b'{"jsonrpc":"2.0","id":%d,"result":{"protocolVersion":' % message["id"])
        os._exit(9)


class DiesOnCancel(fixture.Server):
    "Dies over a cancellation, as some servers do."

    def received(self, message):
        if message.get("method") == "notifications/cancelled":
            os._exit(5)
        super().received(message)


class AnswersTwice(fixture.Server):
    "Answers everything twice, and differently."

    def answer(self, message_id, result):
        super().answer(message_id, result)
        super().answer(message_id, {"content": [{"type": "text", "text": "again"}]})


class WrongIDs(fixture.Server):
    "Answers calls under ids that are not theirs."

    def call(self, message, call):
        result = {"content": [{"type": "text", "text": "for somebody"}]}
        for wrong in [call.id + 1000, str(call.id), None, -call.id, call.id + 0.5, [call.id]]:
            self.answer(wrong, result)
        if message["params"]["name"] == "right":
            self.answer(call.id, {"content": [{"type": "text", "text": "right"}]})


class Deaf(fixture.Server):
    "Stops reading after the call `stop_reading`, until SIGUSR1."

    def run(self):
        self.again = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: self.again.set())
        super().run()

    def received(self, message):
        super().received(message)
        if (message.get("params") or {}).get("name") == "stop_reading":
            while not self.again.wait(0.05):
                pass


class IgnoresPings(fixture.Server):
    "Dies of a ping."

    def received(self, message):
        if message.get("method") == "ping":
            os._exit(6)
        super().received(message)


class Launcher:
    "As npx, uvx or a shell: the server is its child, and the bridge's child is the launcher alone."

    def run(self):
        subprocess.Popen([sys.executable, "-B", __file__], env={**os.environ, "AS": "Server"}).wait()


@tool
def stop_reading(call):
    "See Deaf."
    return "stopped"


@tool
def glued(call, text=""):
    "Tells its progress and answers in one write."
    params = {"progressToken": call.token, "progress": 1, "message": text}
    answer = {"jsonrpc": "2.0", "id": call.id, "result": {"content": [{"type": "text", "text": text}]}}
    with call.server.lock:
        write(encoded({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}) + encoded(answer))
    return Silence


@tool
def half(call):
    "Dies in the middle of its answer."
    with call.server.lock:
        write(encoded({"jsonrpc": "2.0", "id": call.id, "result": {"content": []}})[:-9])
        os._exit(7)


@tool
def storm(call, count=20000):
    "Progress and logs without end, then an answer."
    for number in range(count):
        call.progress(number, message="p" * 100)
        call.server.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "l" * 100}})
    return "over"


@tool
def echo_twice(call, text=""):
    "Answers its text, after having told it as progress."
    call.progress(1, message=text)
    return text


@tool
def last_words(call, count):
    "The storm's logs, an answer, and the end."
    with call.server.lock:
        lines = [{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "l" * 100}}] * count
        write(b"".join(encoded(line) for line in lines))
        write(encoded({"jsonrpc": "2.0", "id": call.id, "result": {"content": [{"type": "text", "text": "that was all"}]}}))
        os._exit(0)


@tool
def spin(call):
    "Keeps a processor busy from now on."
    threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
    return "spinning"


@tool
def seen(call):
    "The methods it was sent."
    return call.server.seen


if __name__ == "__main__":
    name = os.environ.get("AS", "Server")
    (globals().get(name) or getattr(fixture, name))().run()
