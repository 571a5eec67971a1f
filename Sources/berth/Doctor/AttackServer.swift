/// A STDIO MCP server whose tools attack the machine they run in; `berth doctor --prove` hosts it like any other server.
///
/// Plain Python, since that is what the base image has. Each attack answers whether it was refused, and by what: an error
/// counts only where it is how a kernel says no to just that; anything else, a typing mistake of ours too, does not.
enum AttackServer {
    /// In this order; the bombs last.
    static let attacks: [(name: String, title: String)] = [
        ("network", "reach the internet, the metadata address, a private host"),
        ("host_files", "read or write the host's files and the kernel's"),
        ("mount", "mount and unmount"),
        ("user_namespace", "make a new user namespace"),
        ("ptrace_agent", "trace the agent"),
        ("agent_memory", "read the agent's memory and environment"),
        ("signal_agent", "signal the agent"),
        ("sibling_environment", "read a sibling's environment and memory"),
        ("device_node", "make a device node"),
        ("become_root", "become another user"),
        ("kernel_doors", "raw sockets, vsock, bpf, keyrings, io_uring, traces of the kernel"),
        ("fork_bomb", "fork without end"),
        ("memory_bomb", "take all memory"),
    ]

    static let source = tools + filesAndProcesses + kernel + bombs + egress + server

    /// What ``source`` looks for that not every host has; a host's own paths come on top.
    static let hostPaths = ["/etc/shadow", "/proc/1/root/etc/passwd", "/proc/kcore", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"]

    /// The tools that every attack is made of.
    private static let tools = #"""
        import ctypes, json, os, platform, socket, sys, tempfile, time
        from errno import *
        libc = ctypes.CDLL(None, use_errno=True)
        long = ctypes.c_long
        null = ctypes.c_void_p(0)

        DENIED = {EPERM, EACCES}
        # The filter's answer to a call that machines do not have.
        NO_CALL = DENIED | {ENOSYS}
        # For paths that a machine must not even see.
        INVISIBLE = DENIED | {ENOENT}

        def call(name, *args):
            ctypes.set_errno(0)
            result = getattr(libc, name)(*args)
            if result < 0: raise OSError(ctypes.get_errno(), name)
            return result

        def attempt(what, act, refusals, undo=None):
            """Does it, and says whether it was refused: only by one of `refusals`."""
            try:
                result = act()
            except OSError as e:
                code = errorcode.get(e.errno, str(e.errno))
                if e.errno not in refusals: return False, f"{what}: {code} is NO REFUSAL"
                return True, f"{what}: {'not there' if e.errno == ENOENT else code}"
            if undo: undo(result)
            return False, f"{what} SUCCEEDED"

        def opening(path, flags=os.O_RDONLY, refusals=DENIED):
            """Nothing is written, cut or kept."""
            return attempt(path, lambda: os.open(path, flags | os.O_CLOEXEC, 0o600), refusals, os.close)

        def every(*results):
            """All refused that counts, and something does: None stands for a part that shows nothing."""
            counting = [r[0] for r in results if r[0] is not None]
            return bool(counting) and all(counting), "; ".join(r[1] for r in results)

        """#

    /// Answers calls, one after the other.
    private static let server = #"""
        ATTACKS = {f.__name__: f for f in (network, host_files, mount, user_namespace, ptrace_agent, agent_memory, signal_agent,
            sibling_environment, device_node, become_root, kernel_doors, fork_bomb, memory_bomb)}
        if "egress" in sys.argv[1:]: ATTACKS = EGRESS
        STARTED = time.time_ns()

        def alive():
            """Who answers: the same process as before, and in which machine's boot."""
            return {"pid": os.getpid(), "uid": os.getuid(), "started": str(STARTED), "boot": os.readlink("/proc/self/ns/pid")}

        def control():
            """Which of the kernel's doors are shut to any ordinary user, outside of machines too."""
            if os.geteuid() == 0:
                os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
            known = platform.machine() in CALLS
            return {"refused": [name for name, result in doors() if result[0]] if known else []}

        def tool(name, arguments):
            if name == "alive": return alive()
            if name == "control": return control()
            try:
                refused, detail = ATTACKS[name](arguments)
            except Exception as e:
                refused, detail = False, f"the attack is broken: {e!r}"
            return {"refused": refused, "detail": detail}

        for line in sys.stdin:
            message = json.loads(line)
            if "id" not in message: continue
            method, params, answer = message.get("method"), message.get("params") or {}, {"jsonrpc": "2.0", "id": message["id"]}
            if method == "initialize":
                answer["result"] = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                    "serverInfo": {"name": "attack", "version": "1"}}
            elif method == "tools/list":
                answer["result"] = {"tools": [{"name": n, "inputSchema": {"type": "object"}} for n in ["alive", *ATTACKS]]}
            elif method == "tools/call" and params["name"] in ["alive", "control", *ATTACKS]:
                text = json.dumps(tool(params["name"], params.get("arguments") or {}))
                answer["result"] = {"content": [{"type": "text", "text": text}]}
            else:
                answer["error"] = {"code": -32601, "message": "Method not found"}
            print(json.dumps(answer), flush=True)

        """#
}
