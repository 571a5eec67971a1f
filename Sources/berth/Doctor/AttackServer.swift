/// A STDIO MCP server whose tools attack the machine they run in; `berth doctor --prove` hosts it like any other server.
/// Plain Python, since that is what the base image has; each attack answers whether it was refused, and by what.
enum AttackServer {
    static let source = #"""
        import ctypes, errno, json, os, socket, sys, time
        libc = ctypes.CDLL(None, use_errno=True)

        def call(name, *args):
            ctypes.set_errno(0)
            result = getattr(libc, name)(*args)
            return result, errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno()))

        def refused_call(name, *args):
            result, code = call(name, *args)
            return result < 0, f"{name}: {code}" if result < 0 else f"{name} SUCCEEDED"

        def refused_open(path, mode="rb"):
            try:
                with open(path, mode) as f:
                    f.read(1) if "r" in mode else f.write(b"x")
                return False, f"{path} OPENED"
            except OSError as e:
                return True, f"{path}: {errno.errorcode.get(e.errno, e.errno)}"

        def every(*results):
            return all(r[0] for r in results), "; ".join(r[1] for r in results)

        def network():
            results = []
            for host, port in (("1.1.1.1", 443), ("169.254.169.254", 80), ("10.0.0.1", 22)):
                try:
                    socket.create_connection((host, port), timeout=2).close()
                    results.append((False, f"{host}:{port} CONNECTED"))
                except OSError as e:
                    results.append((True, f"{host}:{port}: {errno.errorcode.get(e.errno, type(e).__name__)}"))
            names = [l.split(":")[0].strip() for l in open("/proc/net/dev").read().splitlines()[2:]]
            results.append((names == ["lo"], "interfaces: " + " ".join(names)))
            return every(*results)

        def host_files():
            paths = ["/etc/shadow", "/var/lib/berth/orchestrator/keys", "/proc/1/root/etc/passwd", "/proc/kcore", "/proc/sysrq-trigger"]
            return every(*[refused_open(p) for p in paths], refused_open("/usr/x", "wb"), refused_open("/proc/sys/kernel/core_pattern", "wb"))

        def mount():
            return every(refused_call("mount", b"t", b"/tmp", b"tmpfs", 0, None), refused_call("umount2", b"/proc", 2))

        def user_namespace():
            return every(refused_call("unshare", 0x10000000), refused_call("unshare", 0x10000000 | 0x40000000))

        def ptrace_agent():
            return refused_call("ptrace", 16, 1, 0, 0)

        def agent_memory():
            return every(*[refused_open(f"/proc/1/{f}") for f in ("mem", "environ", "maps")])

        def signal_agent():
            return every(refused_call("kill", 1, 9), refused_call("kill", 1, 15))

        def sibling_environment():
            own = set()
            pid = os.getpid()
            readable = []
            for other in range(1, 4096):
                if other == pid: continue
                try:
                    status = open(f"/proc/{other}/status").read()
                    readable.append(f"status of {other}") if f"Uid:\t{os.getuid()}" not in status else own.add(other)
                except OSError: pass
                if other in own: continue
                try:
                    open(f"/proc/{other}/environ", "rb").read(1)
                    readable.append(f"environ of {other}")
                except OSError: pass
            return not readable, "no other process is visible" if not readable else "READ " + ", ".join(readable)

        def device_node():
            return every(refused_call("mknod", b"/tmp/sda", 0o060600, 0x800), refused_call("mknod", b"/tmp/mem", 0o020600, 0x101))

        def become_root():
            return every(refused_call("setuid", 0), refused_call("setgid", 0), refused_call("setgroups", 1, ctypes.byref(ctypes.c_uint(0))))

        def kernel_doors():
            raw = []
            for family, kind in ((2, 3), (17, 3), (40, 1)):
                try:
                    socket.socket(family, kind).close()
                    raw.append((False, f"socket {family} OPENED"))
                except OSError as e:
                    raw.append((True, f"socket {family}: {errno.errorcode.get(e.errno, e.errno)}"))
            bpf = libc.syscall(321, 0, 0, 0); keyctl = libc.syscall(250, 0, 0, 0); uring = libc.syscall(425, 1, 0)
            return every(*raw, (bpf < 0, "bpf"), (keyctl < 0, "keyctl"), (uring < 0, "io_uring"))

        def fork_bomb():
            children = []
            try:
                while len(children) < 5000:
                    pid = os.fork()
                    if pid == 0:
                        time.sleep(20); os._exit(0)
                    children.append(pid)
                outcome = (False, "5000 FORKS")
            except OSError as e:
                outcome = (len(children) < 200, f"stopped after {len(children)} forks: {errno.errorcode.get(e.errno)}")
            for pid in children:
                os.kill(pid, 9); os.waitpid(pid, 0)
            return outcome

        def memory_bomb():
            held = []
            while len(held) < 4096: held.append(bytearray(1 << 20))
            return False, "4 GiB ALLOCATED"

        ATTACKS = {f.__name__: f for f in (network, host_files, mount, user_namespace, ptrace_agent, agent_memory, signal_agent,
            sibling_environment, device_node, become_root, kernel_doors, fork_bomb, memory_bomb)}

        for line in sys.stdin:
            message = json.loads(line)
            if "id" not in message: continue
            method, answer = message.get("method"), {"jsonrpc": "2.0", "id": message["id"]}
            if method == "initialize":
                answer["result"] = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                    "serverInfo": {"name": "attack", "version": "1"}}
            elif method == "tools/list":
                answer["result"] = {"tools": [{"name": n, "inputSchema": {"type": "object"}} for n in ATTACKS]}
            elif method == "tools/call" and message["params"]["name"] in ATTACKS:
                refused, detail = ATTACKS[message["params"]["name"]]()
                answer["result"] = {"content": [{"type": "text", "text": json.dumps({"refused": refused, "detail": detail})}]}
            else:
                answer["error"] = {"code": -32601, "message": "Method not found"}
            print(json.dumps(answer), flush=True)
        """#

    /// In this order; the bombs last.
    static let attacks: [(name: String, title: String)] = [
        ("network", "reach the internet, the metadata address, a private host"),
        ("host_files", "read or write the host's files and the kernel's"),
        ("mount", "mount and unmount"),
        ("user_namespace", "make a new user namespace"),
        ("ptrace_agent", "trace the agent"),
        ("agent_memory", "read the agent's memory and environment"),
        ("signal_agent", "signal the agent"),
        ("sibling_environment", "read a sibling's environment"),
        ("device_node", "make a device node"),
        ("become_root", "become another user"),
        ("kernel_doors", "raw sockets, vsock, bpf, keyrings, io_uring"),
        ("fork_bomb", "fork without end"),
        ("memory_bomb", "take all memory"),
    ]
}
