"""Starts sessions at a real `berth bridge` and kills them at random points; at the end nothing of them may be left.

python soak.py BERTH SERVER SESSIONS SEED. The seed decides what each session does; which process is killed depends on timing too."""
import glob
import http.client
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time

BERTH, SERVER, SESSIONS, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
WORKERS = 16
# The allowed growth of the bridge's memory after the first tenth of the sessions.
ROOM = 2 << 20
CLIENT = '{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"soak","version":"1"}}'
problems = []


def memory(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10


def children(pid):
    found = []
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        try:
            with open(path) as file:
                found += [int(word) for word in file.read().split()]
        except OSError:
            pass
    return found


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def servers():
    "Every process that runs the server, wherever it has been re-parented to."
    found = []
    for path in glob.glob("/proc/[0-9]*/exe"):
        try:
            if os.readlink(path).startswith(SERVER):
                found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


def settle(what, seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            problems.append(what())
            return
        time.sleep(0.05)


class Session:
    def __init__(self, bridge, number):
        self.bridge, self.random, self.id = bridge, random.Random(SEED * 1_000_003 + number), None
        self.connections = []

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.bridge.port, timeout=60)
        self.connections.append(connection)
        return connection

    def send(self, method, body=None, connection=None):
        connection = connection or self.connect()
        headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        if method == "GET":
            headers["accept"] = "text/event-stream"
        if self.id:
            headers.update({"mcp-session-id": self.id, "mcp-protocol-version": "2025-06-18"})
        connection.request(method, "/mcp", body, headers)
        return connection

    def post(self, body, connection=None):
        response = self.send("POST", body, connection).getresponse()
        response.read()
        return response

    def call(self, tool):
        return '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"%s","arguments":{}}}' % tool

    def kill(self):
        victims = children(self.bridge.pid)
        if victims:
            try:
                os.kill(self.random.choice(victims), signal.SIGKILL)
            except OSError:
                pass

    def run(self):
        opening = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":%s}' % CLIENT
        if self.random.random() < 0.05:
            self.send("POST", opening)
            return self.pause()
        self.id = self.post(opening).getheader("mcp-session-id")
        if not self.id:
            return # its server died over the handshake
        self.bridge.open.add(self.id)
        self.bridge.opened += 1
        self.post('{"jsonrpc":"2.0","method":"notifications/initialized"}')
        if self.random.random() < 0.2:
            self.send("GET")
        for _ in range(self.random.randrange(3)):
            tool = self.random.choice(["echo", "slow", "fork", "half", "die", "hang"])
            waits = self.random.random() < 0.5 and tool != "hang"
            connection = self.send("POST", self.call(tool))
            if waits:
                self.bridge.answered += b'"result"' in connection.getresponse().read()
            else:
                self.pause()
            if self.random.random() < 0.3:
                self.kill()
            if not waits and self.random.random() < 0.5:
                connection.close()
        if self.random.random() < 0.9:
            self.end()

    def pause(self):
        time.sleep(self.random.random() * 0.01)

    def end(self):
        response = self.send("DELETE").getresponse()
        response.read()
        self.bridge.open.discard(self.id)

    def close(self):
        for connection in self.connections:
            connection.close()


class Bridge:
    def __init__(self):
        environment = {**os.environ, "BERTH_LOG_LEVEL": "error"}
        command = [BERTH, "bridge", "--json", "--idle", "2s", "--env", "SOAK_SEED=%d" % SEED, "--", SERVER]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        self.pid, self.open = self.process.pid, set()
        self.opened = self.answered = 0
        self.port = None
        for line in self.process.stdout:
            if line.startswith(b"{") and "port" in json.loads(line):
                self.port = json.loads(line)["port"]
                break

    def run(self, numbers):
        work = queue.Queue()
        for number in numbers:
            work.put(number)

        def worker():
            while True:
                try:
                    number = work.get_nowait()
                except queue.Empty:
                    return
                session = Session(self, number)
                try:
                    session.run()
                except Exception as error: # whatever it is: a thread that dies is a session that nobody looked at
                    problems.append("session %d: %r" % (number, error))
                finally:
                    session.close()

        threads = [threading.Thread(target=worker) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def quiet(self, descriptors_before):
        "Ends what clients left open, and waits until nothing of it is there."
        for id in list(self.open):
            session = Session(self, 0)
            session.id = id
            session.end()
            session.close()
        settle(lambda: "processes are left: %r" % servers(), 30, lambda: not servers() and not children(self.pid))
        if descriptors_before is not None:
            settle(lambda: "descriptors: %d before, %d after" % (descriptors_before, descriptors(self.pid)), 15,
                   lambda: descriptors(self.pid) <= descriptors_before)

    def stop(self):
        "Ends it, whatever state it is in; answers how it ended."
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "not by itself"


def soak(bridge):
    "Runs all sessions; answers what it saw, in one line."
    begun = time.monotonic()
    first = max(SESSIONS // 10, 50)
    settle(lambda: "the first process did not end", 30, lambda: not servers())
    before = descriptors(bridge.pid)
    bridge.run(range(first))
    bridge.quiet(before)
    early = memory(bridge.pid)
    bridge.run(range(first, SESSIONS))
    bridge.quiet(before)
    late = memory(bridge.pid)
    if late > early + ROOM:
        problems.append("memory grew by %.1f MB" % ((late - early) / (1 << 20)))
    # What is killed at random cannot all succeed; a bridge that refuses everybody leaves nothing behind either.
    if bridge.opened < SESSIONS * 0.8 or bridge.answered < SESSIONS * 0.02:
        problems.append("of %d sessions %d were opened, and %d calls answered" % (SESSIONS, bridge.opened, bridge.answered))
    return "%d sessions (%d opened, %d calls answered) in %.0f s: descriptors %d before, %d after; memory %.1f MB after %d, %.1f MB after all" % (
        SESSIONS, bridge.opened, bridge.answered, time.monotonic() - begun, before, descriptors(bridge.pid), early / (1 << 20), first,
        late / (1 << 20))


bridge = Bridge()
try:
    if bridge.port is None:
        sys.exit("soak: the bridge did not start; seed %d" % SEED)
    summary = soak(bridge)
    if bridge.process.poll() is not None:
        problems.append("the bridge ended with %r" % bridge.process.returncode)
finally:
    end = bridge.stop()
if end != 0:
    problems.append("the bridge ended with %r" % end)
if servers():
    problems.append("processes outlive the bridge: %r" % servers())
print("%s; seed %d" % (summary, SEED))
for problem in problems:
    print("soak: " + problem)
sys.exit(1 if problems else 0)
