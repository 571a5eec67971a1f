"""A small legacy MCP server over STDIO in plain Python, without an SDK; the other fixtures vary it.

Every request runs on a thread of its own, so that a cancellation can reach a call in progress."""
import json
import os
import sys
import threading
import time

TOOLS = {}


def tool(function):
    TOOLS[function.__name__] = function
    return function


class Call:
    def __init__(self, server, message):
        self.server, self.id = server, message.get("id")
        params = message.get("params") or {}
        self.arguments = params.get("arguments") or {}
        self.token = (params.get("_meta") or {}).get("progressToken")
        self.cancelled = threading.Event()
        self.line = server.line

    def progress(self, done, total=None, message=None):
        if self.token is None:
            return
        params = {"progressToken": self.token, "progress": done}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        self.server.send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


class Server:
    versions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]

    def __init__(self):
        self.lock = threading.Lock()
        self.running = {}
        self.cancelled = []
        self.seen = []
        self.asked = {}
        self.capabilities = {}
        self.line = b""

    def send(self, message):
        line = json.dumps(message).encode() + b"\n"
        with self.lock:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    def answer(self, message_id, result):
        self.send({"jsonrpc": "2.0", "id": message_id, "result": result})

    def refuse(self, message_id, code, text):
        self.send({"jsonrpc": "2.0", "id": message_id, "error": {"code": code, "message": text}})

    def run(self):
        for line in sys.stdin.buffer:
            line = line.strip()
            if line:
                self.line = line  # as it came, until the next
                self.received(json.loads(line))
        self.ended()

    def ended(self):
        pass

    def received(self, message):
        method, message_id = message.get("method"), message.get("id")
        self.seen.append(method)
        if method == "notifications/cancelled":
            wanted = message["params"].get("requestId")
            self.cancelled.append(wanted)
            if wanted in self.running:
                self.running[wanted].cancelled.set()
        elif method is None:
            if message_id in self.asked:
                question = self.asked.pop(message_id)
                question["answer"] = message
                question["event"].set()
        elif message_id is None:
            return
        elif method == "initialize":
            self.initialize(message)
        elif method == "ping":
            self.answer(message_id, {})
        elif method == "tools/list":
            self.answer(message_id, self.listing())
        elif method == "tools/call":
            call = Call(self, message)
            self.running[message_id] = call
            threading.Thread(target=self.call, args=(message, call), daemon=True).start()
        else:
            self.other(message)

    def ask(self, method, params=None, seconds=60):
        "A request to the client; its answer, result or error."
        question = {"event": threading.Event()}
        key = "ask-%d" % (len(self.seen) + len(self.asked))
        self.asked[key] = question
        self.send({"jsonrpc": "2.0", "id": key, "method": method, "params": params or {}})
        return question["answer"] if question["event"].wait(seconds) else {"error": {"code": 0, "message": "silence"}}

    def initialize(self, message):
        self.capabilities = (message.get("params") or {}).get("capabilities") or {}
        wanted = (message.get("params") or {}).get("protocolVersion")
        self.answer(message["id"], {
            "protocolVersion": wanted if wanted in self.versions else self.versions[0],
            "capabilities": {"tools": {"listChanged": True}, "logging": {}},
            "serverInfo": {"name": "fixture", "version": "1"},
            "instructions": "A fixture."})

    def other(self, message):
        self.refuse(message["id"], -32601, "Method not found")

    def listing(self):
        return {"tools": [{"name": name, "description": (function.__doc__ or name).strip(), "inputSchema": {"type": "object"}}
                          for name, function in TOOLS.items()]}

    def call(self, message, call):
        name = message["params"].get("name")
        if name not in TOOLS:
            return self.refuse(call.id, -32602, "Unknown tool: %s" % name)
        try:
            value = TOOLS[name](call, **call.arguments)
        except Exception as error:
            self.answer(call.id, {"content": [{"type": "text", "text": repr(error)}], "isError": True})
        else:
            if value is not Silence:
                text = value if isinstance(value, str) else json.dumps(value)
                self.answer(call.id, {"content": [{"type": "text", "text": text}]})
        finally:
            self.running.pop(call.id, None)


class Silence:
    """A tool that answers with this answers nothing."""


@tool
def echo(call, text=""):
    "Answers its text."
    return text


COUNTED = [0]


@tool
def count(call):
    "How often this process was asked, and its pid."
    COUNTED[0] += 1
    return "%d %d" % (COUNTED[0], os.getpid())


@tool
def raw(call, **_):
    "Its arguments as they came, byte for byte."
    text = call.line.decode()
    start = text.index("{", text.index('"arguments"'))
    return text[start:json.JSONDecoder().raw_decode(text, start)[1]]


@tool
def progress(call, steps=3):
    "Tells its progress."
    for step in range(steps):
        call.progress(step + 1, steps, "step %d" % (step + 1))
    return "done"


@tool
def wait(call, seconds=30):
    "Waits; a cancellation ends it."
    return "cancelled" if call.cancelled.wait(seconds) else "waited"


@tool
def progress_then_wait(call, seconds=30):
    "Tells its progress once, then waits."
    call.progress(1, message="started")
    return "cancelled" if call.cancelled.wait(seconds) else "waited"


@tool
def mark_and_wait(call, path="", seconds=30):
    "Leaves a mark in a file, then waits."
    with open(path, "w") as mark:
        mark.write("begun")
    call.cancelled.wait(seconds)
    return "waited"


@tool
def hang(call):
    "Waits for its cancellation and never answers."
    call.progress(1, message="started")
    call.cancelled.wait(600)
    return Silence


@tool
def cancellations(call):
    "The ids that cancellations named."
    return call.server.cancelled


@tool
def ask(call, method="elicitation/create", params=None, times=1, seconds=60):
    "Asks the client, and answers with its answers."
    params = params or {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}
    answers = [call.server.ask(method, params, seconds) for _ in range(times)]
    return [answer.get("result", answer.get("error")) for answer in answers]


@tool
def declared(call):
    "What the client declared in the handshake."
    return call.server.capabilities


@tool
def identity(call):
    "What the process is."
    status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
    return {"pid": os.getpid(), "ppid": os.getppid(), "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "cwd": os.getcwd(),
            "sid": os.getsid(0), "pgid": os.getpgid(0), "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if _alive(fd)),
            "environment": dict(os.environ), "caps": [status["CapPrm"], status["CapEff"], status["CapInh"], status["CapAmb"]],
            "umask": status.get("Umask"), "oom": open("/proc/self/oom_score_adj").read().strip(), "argv": sys.argv}


def _alive(fd):
    # listdir itself holds a descriptor while it reads; that one is gone now.
    return os.path.exists("/proc/self/fd/" + fd)


@tool
def environ_of(call, pid=0):
    "Another process's environment."
    try:
        return open("/proc/%d/environ" % pid, "rb").read().decode()
    except OSError as error:
        return "refused: " + error.strerror


@tool
def signal_to(call, pid=0, number=0):
    "Signals another process."
    try:
        os.kill(pid, number)
        return "sent"
    except OSError as error:
        return "refused: " + error.strerror


@tool
def write_file(call, name="", text=""):
    "Writes a file in the private directory."
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), name)
    with open(path, "w") as file:
        file.write(text)
    return path


@tool
def read_file(call, path=""):
    "Reads a file."
    try:
        return open(path).read()
    except OSError as error:
        return "refused: " + error.strerror


@tool
def crash(call, status=3):
    "Dies in the middle of the call."
    sys.stderr.write("about to crash\n")
    sys.stderr.flush()
    os._exit(status)


@tool
def abort(call):
    "Dies by a signal."
    os.kill(os.getpid(), 9)
    time.sleep(60)


@tool
def mute(call):
    "Closes its output and lives on."
    os.close(1)
    return Silence


@tool
def say(call, text=""):
    "Writes to stderr."
    sys.stderr.write(text)
    sys.stderr.flush()
    return "said"


@tool
def flood(call, lines=20000):
    "Floods stderr, without an end of line at last."
    for number in range(lines):
        sys.stderr.write("line %d of a long log that nobody asked for\n" % number)
    sys.stderr.write("x" * 200000)
    sys.stderr.flush()
    return "flooded"


@tool
def noise(call):
    "Pollutes stdout."
    with call.server.lock:
        sys.stdout.buffer.write(b"Starting up...\n{\"not\": \"rpc\"}\n[1, 2\n\xef\xbb\xbf\r\n\xff\xfe binary\n")
        sys.stdout.buffer.flush()
    return "noisy"


@tool
def big(call, size=1 << 20):
    "A large answer."
    return "x" * size


@tool
def grow(call, megabytes=1):
    "Takes memory and keeps it."
    call.server.kept = [bytearray(b"x" * (1 << 20)) for _ in range(megabytes)]
    return "grown"


@tool
def many(call, count=100, size=1000):
    "Many progress messages."
    for number in range(count):
        call.progress(number, message="y" * size)
    return "done"


@tool
def daemon(call):
    "Leaves a double-forked process in a session of its own; answers its pid."
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            os.close(0), os.close(1), os.close(2)
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.wait()
    return os.read(reader, 32).decode()


@tool
def helper(call):
    "Leaves a child in its own group that holds the standard streams; answers its pid."
    import subprocess
    return str(subprocess.Popen(["sleep", "600"]).pid)


if __name__ == "__main__":
    Server().run()
