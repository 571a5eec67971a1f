"""The benchmark of the first slice: `berth bridge` and the whole path beside their controls, cold start by stage, memory, sizes.

Run by scripts/bench, which builds what is measured and sets: BERTH_BIN (folder of berth and berth-agent), BENCH_TOOLS (folder of load,
ideal-bridge, echo), BENCH_WORK (an empty folder of our own), BENCH_BUILD (release or debug, printed), and reads BENCH_OUT, BENCH_ROUNDS,
BENCH_SECONDS, BENCH_CASES. Method: docs/performance.md."""
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

BIN, TOOLS, WORK = os.environ["BERTH_BIN"], os.environ["BENCH_TOOLS"], os.environ["BENCH_WORK"]
BUILD = os.environ.get("BENCH_BUILD", "release")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
CASES = os.environ.get("BENCH_CASES", "bridge memory path start").split()
OUT = os.environ.get("BENCH_OUT", "")
BERTH, STATE = BIN + "/berth", WORK + "/state"
PINNED = str((os.cpu_count() or 1) - 1)
problems = []


def say(text=""):
    print(text, flush=True)


def record(row):
    """Appends a row to BENCH_OUT, with what all rows share."""
    if OUT:
        with open(OUT, "a") as file:
            file.write(json.dumps({"time": int(time.time()), "build": BUILD, "cpus": os.cpu_count(), **row}) + "\n")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def berth(*arguments, check=True):
    """Runs a command of berth with --json and answers the last JSON object it printed."""
    result = subprocess.run([BERTH, *arguments], env={**os.environ, "BERTH_STATE": STATE}, capture_output=True, text=True)
    if check and result.returncode != 0:
        raise SystemExit(f"bench: berth {' '.join(arguments)}: {result.stdout}{result.stderr}")
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


class Server:
    """A child process that listens; ended when the block that started it ends, however it ends."""

    def __init__(self, arguments, port):
        self.log = open(f"{WORK}/{os.path.basename(arguments[0])}.log", "ab")
        self.process = subprocess.Popen(arguments, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.pid, self.port, self.name = self.process.pid, port, arguments[0]

    def __enter__(self):
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise SystemExit(f"bench: {self.name} does not listen; see {self.log.name}")
            time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Target:
    """Something to put load on: where it listens, and which processes are its parts."""

    def __init__(self, name, port, parts, path="/mcp", token=None):
        self.name, self.port, self.parts, self.path, self.token = name, port, parts, path, token

    def load(self, *options):
        command = [TOOLS + "/load", "--port", str(self.port), "--path", self.path, *options]
        if self.token:
            command += ["--token-file", self.token]
        for name, pid, part in self.parts:
            command += ["--cpu", f"{name}={pid}:{part}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        try:
            answer = json.loads(result.stdout)
        except json.JSONDecodeError:
            raise SystemExit(f"bench: load on {self.name}: {result.stdout}{result.stderr}") from None
        if answer["errors"] or answer["lost"]:
            problems.append(f"{self.name} @{answer['sessions']}: {answer['errors']} wrong, {answer['lost']} lost: {answer['first_error']}")
        answer["cpu"] = sum(answer["cpu_us_per_call"].values())
        return answer


def median(rows, key):
    return statistics.median(key(row) for row in rows)


# Of answers, in MiB: 0 is ~300 B.
LOADS = ((1, 0), (32, 0), (1, 1), (1, 10))
HEADER = ("case", "sess.", "calls/s", "ratio", "(min-max)", "p50 us", "p99 us", "p50 x", "p99 x", "CPU us", "CPU x", "CPU us of the parts", "others", "bad")
WIDTHS = (28, 5, 8, 6, 11, 7, 7, 6, 6, 7, 6, 44, 6, 4)


def print_row(values):
    say("  ".join(str(v).ljust(w) if i in (0, 11) else str(v).rjust(w) for i, (v, w) in enumerate(zip(values, WIDTHS))).rstrip())


def compare(case, control, target, sessions, mebibytes=0):
    """Control and target by turns in every round; ratios are within a round, and the median of rounds is printed.

    With mebibytes, of each answer; else it is ~300 B."""
    options = ["--sessions", str(sessions), "--seconds", str(SECONDS)] + (["--pin", PINNED] if sessions == 1 else [])
    options += ["--result", str(mebibytes << 20)] if mebibytes else []
    size = f", {mebibytes} MiB" if mebibytes else ""
    rounds = [(control.load(*options), target.load(*options)) for _ in range(ROUNDS)]

    def over(key):
        return [t[key] / c[key] if c[key] else 0 for c, t in rounds]
    for side, which in enumerate((control, target)):
        rows = [pair[side] for pair in rounds]
        parts = {name: median(rows, lambda r: r["cpu_us_per_call"][name]) for name in rows[0]["cpu_us_per_call"]}
        bad = sum(r["errors"] + r["lost"] for r in rows)
        row = {
            "case": case, "what": which.name, "control": control.name, "sessions": sessions, "answer_mib": mebibytes, "rounds": ROUNDS, "seconds": SECONDS,
            "calls_per_s": median(rows, lambda r: r["calls_per_s"]), "p50_us": median(rows, lambda r: r["p50_us"]),
            "p99_us": median(rows, lambda r: r["p99_us"]), "cpu_us_per_call": median(rows, lambda r: r["cpu"]), "cpu_us": parts,
            "others_cores": median(rows, lambda r: r["others_cores"]), "errors": bad,
        }
        ratio = spread = p50 = p99 = cpu = ""
        if side == 1:
            row |= {"ratio": statistics.median(over("calls_per_s")), "ratio_min": min(over("calls_per_s")), "ratio_max": max(over("calls_per_s")),
                    "p50_x": statistics.median(over("p50_us")), "p99_x": statistics.median(over("p99_us")), "cpu_x": statistics.median(over("cpu"))}
            ratio, spread = f"{row['ratio']:.3f}", f"{row['ratio_min']:.3f}-{row['ratio_max']:.3f}"
            p50, p99, cpu = (f"{row[key]:.2f}" for key in ("p50_x", "p99_x", "cpu_x"))
        record(row)
        print_row((which.name + size, sessions, f"{row['calls_per_s']:.0f}", ratio, spread, f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}", p50, p99,
                   f"{row['cpu_us_per_call']:.1f}", cpu, " + ".join(f"{n} {v:.1f}" for n, v in parts.items()), f"{row['others_cores']:.2f}", bad))
    if max(r["others_cores"] for pair in rounds for r in pair) > 0.5:
        say("  note: others took more than half a core in a round above; its ratio says little, CPU x still holds")


SESSIONS = 100


class IdleSessions:
    """Sessions that were opened, made one call, and wait."""

    def __init__(self, port, count):
        self.port, self.open = port, []
        self.count = count

    def __enter__(self):
        for _ in range(self.count):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            name = self.post(connection, None, 0, "initialize", {
                "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}})
            self.open.append((connection, name))
            self.post(connection, name, None, "notifications/initialized", {})
            self.post(connection, name, 1, "tools/call", {"name": "echo", "arguments": {"text": "x" * 300}})
        return self

    def __exit__(self, *_):
        for connection, name in self.open:
            with contextlib.suppress(OSError):
                connection.request("DELETE", "/mcp", headers={"Mcp-Session-Id": name, "MCP-Protocol-Version": "2025-11-25"})
                connection.getresponse().read()
            connection.close()

    def post(self, connection, session, number, method, params):
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": number} if number is not None else {})
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if session:
            headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
        connection.request("POST", "/mcp", json.dumps(message), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 202):
            raise SystemExit(f"bench: {method} on port {self.port}: {answer.status}")
        return answer.getheader("Mcp-Session-Id")


def memory_case():
    """Memory of a bridge's own process with one session and with many, all idle; a server's processes are its own affair."""
    for title, command in (("ideal bridge", [TOOLS + "/ideal-bridge", "{port}"]), ("berth bridge", [BERTH, "bridge", "--port", "{port}", "--max-processes", "256", "--"])):
        port = free_port()
        with Server([word.format(port=port) for word in command] + [TOOLS + "/echo"], port) as bridge:
            idle = resident(bridge.pid)
            with IdleSessions(port, 1):
                one = resident(bridge.pid)
            with IdleSessions(port, SESSIONS + 1):
                many = resident(bridge.pid)
        each = (many[1] - one[1]) * 1024 / SESSIONS
        record({"case": "memory", "what": title, "rss_mb": {"idle": idle[0], "one": one[0], "many": many[0]}, "kib_per_session": each, "sessions": SESSIONS})
        say(f"{title}: resident MB (of it without file pages) idle {idle[0]:.1f} ({idle[1]:.1f}), with 1 session {one[0]:.1f} ({one[1]:.1f}), "
            f"with {SESSIONS + 1} idle ones {many[0]:.1f} ({many[1]:.1f}): {each:.0f} KiB a session")


def resident(pid):
    """Resident memory in MB: all, and without the pages of files (the executable's), which are shared with other machines' agents."""
    fields = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields[name] = value.split()
    return int(fields["VmRSS"][0]) / 1024, (int(fields["VmRSS"][0]) - int(fields["RssFile"][0])) / 1024


def processes():
    """(pid, parent, words of the command line) of everything that runs."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                yield int(entry), parent, words


def pid_of(name):
    return next(pid for pid, _, words in processes() if words[1:2] == [name] and STATE in words)


def agents():
    """Agents of this Berth's machines by pid: those in its cgroups. The first process of a machine is its agent."""
    prefix = "/berth-" + hashlib.sha256(STATE.encode()).hexdigest()[:10] + "/"
    found = {}
    for pid, _, _ in processes():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cgroup") as file:
                inside = any(prefix in line for line in file)
            with open(f"/proc/{pid}/status") as file:
                first = any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in file)
            if inside and first:
                found[pid] = True
    return sorted(found)


def nginx(upstream, port, token):
    """nginx as a gateway: one static token, a JSON line a call, pooled connections, one worker."""
    folder = WORK + "/nginx"
    os.makedirs(folder, exist_ok=True)
    temporary = "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(folder + "/nginx.conf", "w") as file:
        file.write(f"""daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
{temporary}
    log_format line escape=json '{{"time":"$msec","status":$status,"session":"$http_mcp_session_id","seconds":$request_time}}';
    access_log {folder}/access.log line;
    keepalive_requests 100000000;
    upstream bridge {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            if ($http_authorization != "Bearer {token}") {{ return 401; }}
            proxy_pass http://bridge;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0; # a long answer waits for its reader, and no file
        }}
    }}
}}
""")
    return Server([shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-c", folder + "/nginx.conf"], port)


def bridge_cases():
    ideal_port, port = free_port(), free_port()
    echo = TOOLS + "/echo"
    with Server([TOOLS + "/ideal-bridge", str(ideal_port), echo], ideal_port) as ideal, \
            Server([BERTH, "bridge", "--port", str(port), "--max-processes", "256", "--", echo], port) as bridge:
        control = Target("ideal bridge", ideal_port, [("bridge", ideal.pid, "self"), ("child", ideal.pid, "below")])
        target = Target("berth bridge", port, [("bridge", bridge.pid, "self"), ("child", bridge.pid, "below")])
        for load in (*LOADS, (128, 0)): # more than one machine has processes for
            compare("bridge", control, target, *load)


def token_file(name, text):
    with open(os.open(f"{WORK}/{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return f"{WORK}/{name}"


class Up:
    """A Berth of our own, with its state in the work folder."""

    def __enter__(self):
        self.port = free_port()
        try:
            self.answer = berth("up", "--listen", f"127.0.0.1:{self.port}", "--detach", "--json")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        berth("down", check=False)
        left = subprocess.run([BERTH, "doctor", "--leftovers", "--state", STATE, "--json"], capture_output=True, text=True)
        if left.returncode != 0:
            problems.append(f"left behind: {left.stdout}{left.stderr}")

    def vmcp(self, name):
        """A virtual MCP of one connector: its path and the file with a token for it."""
        berth("vmcp", "create", name, name, "--json")
        made = berth("token", "create", "--for", "bench", "--vmcp", name, "--json")
        return f"/v/{name}/mcp", token_file(f"{name}.token", made["token"])

    def events(self, machine):
        """When each state of a machine came about, in ms."""
        url = f"{self.answer['machines_url']}/v1/apps/{machine['app']}/machines/{machine['id']}/events"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.answer['machines_token']}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return {event["status"]: event["timestamp"] for event in json.load(answer)}


def path_cases(up):
    folder = WORK + "/echo"
    os.makedirs(folder, exist_ok=True)
    shutil.copy(TOOLS + "/echo", folder)
    berth("connector", "add", "echo", "--dir", folder, "--pids", "1024", "--memory", "1024", "--json", "--", "./echo")
    path, token = up.vmcp("echo")
    agent, gateway, orchestrator = agents()[0], pid_of("gateway"), pid_of("orchestrator")
    idle = resident(agent)
    ideal_port, nginx_port = free_port(), free_port()
    with Server([TOOLS + "/ideal-bridge", str(ideal_port), TOOLS + "/echo"], ideal_port) as ideal, nginx(ideal_port, nginx_port, "bench") as front:
        control = Target("nginx + ideal bridge", nginx_port,
                         [("nginx", front.pid, "tree"), ("bridge", ideal.pid, "self"), ("child", ideal.pid, "below")],
                         token=token_file("nginx.token", "bench"))
        target = Target("berth, whole path", up.port, [("gateway", gateway, "tree"), ("agent", agent, "self"), ("child", agent, "below")], path, token)
        for load in LOADS:
            compare("path", control, target, *load)
    return {"idle": idle, "loaded": resident(agent), "gateway": resident(gateway), "orchestrator": resident(orchestrator)}


def cold_start(up, title, name, source, command, times, call):
    """Adds the same server again and again: the image is there from the first time, the machine is new each time."""
    rows = []
    for number in range(times + 1):
        connector = f"{name}{number}"
        began = time.time()
        berth("connector", "add", connector, *source, "--json", *command)
        whole = (time.time() - began) * 1000
        if number == 0:
            first = whole  # it may have made the image; not one of the rows
            continue
        machine = next(m for m in berth("machines", "list", "--json")["machines"] if m["config"]["metadata"].get("berth_connector") == connector)
        events = up.events(machine)
        path, token = up.vmcp(connector)
        answer = Target(title, up.port, [], path, token).load("--calls", "1", *call)
        rows.append({
            "image": events["created"] - began * 1000, "create": events["starting"] - events["created"], "start": events["started"] - events["starting"],
            "probe": began * 1000 + whole - events["started"], "answer": answer["first_answer_us"] / 1000, "add": whole})
    stages = {key: median(rows, lambda row: row[key]) for key in rows[0]}
    stages["total"] = median(rows, lambda row: row["create"] + row["start"] + row["answer"])
    record({"case": "cold start", "what": title, "rounds": times, "stages_ms": stages, "first_add_ms": first})
    say(f"{title:<20}{stages['create']:>10.0f}{stages['start']:>14.0f}{stages['answer']:>14.1f}{stages['total']:>12.0f}"
        f"{stages['image']:>13.0f}{stages['probe']:>10.0f}{stages['add']:>12.0f}{first / 1000:>16.1f}")


def start_cases(up):
    say("\nCold start of a machine to its first tool answer, ms, medians of new machines with the image present")
    say(f"{'server':<20}{'create':>10}{'start, ready':>14}{'first answer':>14}{'= total':>12}{'image step':>13}{'probe':>10}{'whole add':>12}{'very first, s':>16}")
    echo = TOOLS + "/echo"
    port = free_port()
    with Server([TOOLS + "/ideal-bridge", str(port), echo], port):
        plain = Target("plain process", port, [])
        answers = [plain.load("--calls", "1")["first_answer_us"] / 1000 for _ in range(5)]
    say(f"{'echo, plain process':<20}{'':>10}{'':>14}{statistics.median(answers):>14.1f}{statistics.median(answers):>12.1f}")
    record({"case": "cold start", "what": "plain process", "stages_ms": {"answer": statistics.median(answers)}, "rounds": 5})
    folder = WORK + "/cold"
    os.makedirs(folder, exist_ok=True)
    shutil.copy(echo, folder)
    cold_start(up, "echo (C)", "cold", ["--dir", folder], ["--", "./echo"], 5, [])
    try:
        cold_start(up, "mcp-server-time", "time", ["--pypi", "mcp-server-time"], [], 3,
                   ["--tool", "get_current_time", "--arguments", '{"timezone":"Etc/UTC"}', "--expect", "Etc/UTC"])
    except SystemExit as failure: # no package index here: the C server's row stands alone
        say(f"mcp-server-time: not measured: {str(failure).strip()[:300]}")


def main():
    say(f"Berth benchmark: {BUILD} build, {os.cpu_count()} CPUs, {ROUNDS} rounds of {SECONDS:g} s a side, ~300 B echo, every answer checked")
    say("control and target alternate; ratio, p50 x, p99 x and CPU x are target / control of the same round; 1 session is pinned to one CPU")
    say("audit rows are in the journal before the answer, not fsynced\n")
    print_row(HEADER)
    if "bridge" in CASES:
        bridge_cases()
    if "memory" in CASES:
        say()
        memory_case()
    sizes = {name: os.path.getsize(f"{BIN}/{name}") / 1e6 for name in ("berth", "berth-agent")}
    memory = None
    if os.geteuid() != 0 and {"path", "start"} & set(CASES):
        say("\nnot measured: the whole path and cold start; machines need root")
    elif {"path", "start"} & set(CASES):
        with Up() as up:
            if "path" in CASES:
                memory = path_cases(up)
            if "start" in CASES:
                start_cases(up)
    say("\nexecutables: " + ", ".join(f"{name} {size:.1f} MB" for name, size in sizes.items()))
    record({"case": "size", "mb": sizes})
    if memory:
        say("resident MB (of it without file pages): " + ", ".join(f"{name} {a:.1f} ({b:.1f})" for name, (a, b) in (
            ("agent idle", memory["idle"]), ("agent after load", memory["loaded"]), ("gateway after load", memory["gateway"]),
            ("orchestrator", memory["orchestrator"]))))
        record({"case": "memory", "rss_mb": {name: value[0] for name, value in memory.items()}, "anonymous_mb": {n: v[1] for n, v in memory.items()}})
    for problem in problems:
        say("WRONG: " + problem)
    return 1 if problems else 0


def interrupted(number, _):
    for other in (signal.SIGTERM, signal.SIGINT):
        signal.signal(other, lambda *_: None)  # what follows is the clean-up
    raise SystemExit(128 + number)


for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, interrupted)
try:
    sys.exit(main())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
