"""A STDIO client by raw lines, one after another: python in_turn.py COMMAND … < lines; prints what it got, and at last how COMMAND ended.

A line is a message, whose answer is waited for. Before it: `&` waits for nothing, `~` for a notification. `!TERM`, `!INT` send a signal;
`!deaf` reads nothing more; `!gone` closes that end;
`!end` says nothing more, and keeps its own end open; `!full` waits until what nobody reads has filled the pipe; `!long N` sends a call with the id 99 of so many bytes. Questions are accepted by Ann."""
import array, fcntl, json, os, queue, select, signal, subprocess, sys, termios, threading, time

lines = sys.stdin.read().splitlines()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
got, deaf = queue.Queue(), threading.Event()


def send(data):
    try:
        view = memoryview(data + b"\n")
        while view: view = view[child.stdin.write(view):]
    except BrokenPipeError: pass


def whole_lines():
    rest = b""
    while not deaf.is_set():
        if not select.select([child.stdout], [], [], 0.05)[0]: continue
        piece = os.read(child.stdout.fileno(), 1 << 16)
        if not piece: return
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def waiting():
    count = array.array("i", [0])
    fcntl.ioctl(child.stdout, termios.FIONREAD, count)
    return count[0]


def read():
    for line in whole_lines():
        print(line.decode().rstrip()[:2000], flush=True)
        message = json.loads(line)
        if message.get("method") == "elicitation/create":
            send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"action": "accept", "content": {"name": "Ann"}}}).encode())
        else:
            got.put(message)


def wait(wanted):
    while not wanted(got.get(timeout=60)): pass


reader = threading.Thread(target=read, daemon=True)
reader.start()
began = time.monotonic()
for line in lines:
    mark, line = (line[0], line[1:]) if line[0] in "&~!" else ("", line)
    if mark == "!":
        word, _, size = line.partition(" ")
        if word == "deaf":
            deaf.set()
            reader.join()
        elif word == "gone":
            deaf.set()
            reader.join()
            child.stdout.close()
        elif word == "end": break
        elif word == "full":
            while waiting() < 60_000: time.sleep(0.01)
        elif word == "long":
            send(b'{"jsonrpc":"2.0","id":99,"method":"tools/call","params":{"name":"' + b"x" * int(size) + b'"}}')
            wait(lambda message: message.get("id") == 99)
        else:
            began = time.monotonic()
            child.send_signal(getattr(signal, "SIG" + word))
            break
        continue
    send(line.encode())
    identity = json.loads(line).get("id")
    if mark == "~": wait(lambda message: "method" in message)
    elif mark == "" and identity is not None: wait(lambda message: message.get("id") == identity and "method" not in message)
else:
    began = time.monotonic()
    child.stdin.close()
try:
    status = child.wait(timeout=60)
except subprocess.TimeoutExpired:
    status = None
    child.kill()
print(json.dumps({"ended": status, "seconds": round(time.monotonic() - began, 1)}), flush=True)
os._exit(0)
