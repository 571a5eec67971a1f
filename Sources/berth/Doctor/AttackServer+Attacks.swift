extension AttackServer {
    /// On the host's network and files, and on the machine's other processes.
    static let filesAndProcesses = #"""
        def network(a):
            def connect(host, port):
                return attempt(f"{host}:{port}", lambda: socket.create_connection((host, port), timeout=2), {ENETUNREACH}, lambda s: s.close())
            names = [l.split(":")[0].strip() for l in open("/proc/net/dev").read().splitlines()[2:]]
            alone = names == ["lo"]
            return every(*[connect(*at) for at in a.get("addresses", [("1.1.1.1", 443), ("169.254.169.254", 80), ("10.0.0.1", 22)])],
                (alone, "interfaces: lo" if alone else "interfaces BESIDE lo: " + " ".join(names)))

        def host_files(a):
            def kernel_memory():
                with open("/proc/kcore", "rb") as f:
                    if not f.read(16): raise OSError(ENODATA, "masked")
            created = f"/usr/berth-attack-{os.getpid()}"
            new_file = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            def present(path, act):
                return (None, f"{path}: the host has none") if path in a.get("absent", []) else act(path)
            def writing(refusals):
                return lambda path: opening(path, os.O_WRONLY, refusals | {EROFS})
            return every(
                *[present(p, lambda p: opening(p, refusals=INVISIBLE))
                    for p in ["/etc/shadow", "/proc/1/root/etc/passwd", *a.get("host_paths", [])]],
                present("/proc/kcore", lambda p: attempt(p, kernel_memory, INVISIBLE | {ENODATA})),
                present("/proc/sysrq-trigger", writing(INVISIBLE)),
                present("/proc/sys/kernel/core_pattern", writing(DENIED)),
                attempt(created, lambda: os.open(created, new_file), DENIED | {EROFS}, lambda f: (os.close(f), os.unlink(created))))

        class Piece(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

        def trace(pid):
            def detach(_):
                os.waitpid(pid, 0x40000000)
                libc.ptrace(17, pid, null, null)
            return attempt(f"trace {pid}", lambda: call("ptrace", 16, pid, null, null), NO_CALL, detach)

        def memory(pid):
            here = ctypes.create_string_buffer(16)
            local, remote = Piece(ctypes.addressof(here), 16), Piece(ctypes.addressof(here), 16)
            pieces = (ctypes.byref(local), long(1), ctypes.byref(remote), long(1), long(0))
            return attempt(f"memory of {pid}", lambda: call("process_vm_readv", pid, *pieces), NO_CALL)

        def ptrace_agent(a):
            return trace(a.get("agent", 1))

        def agent_memory(a):
            agent = a.get("agent", 1)
            return every(*[opening(f"/proc/{agent}/{f}", refusals=INVISIBLE) for f in ("mem", "environ", "maps")], memory(agent))

        def signal_agent(a):
            agent = a.get("agent", 1)
            return every(*[attempt(f"signal {n} to {agent}", lambda n=n: os.kill(agent, n), {EPERM}) for n in (0, 15, 9)])

        def sibling_environment(a):
            sibling, own = a["sibling"], os.getpid()
            others = [p for p in os.listdir("/proc") if p.isdigit() and int(p) not in (own, os.getppid(), sibling)]
            # EPERM says that it is there and not ours to touch; were it gone, ESRCH would say so, and that is no refusal.
            return every(attempt(f"signal 0 to {sibling}", lambda: os.kill(sibling, 0), {EPERM}),
                *[opening(f"/proc/{sibling}/{f}", refusals=INVISIBLE) for f in ("environ", "mem", "cmdline", "status")],
                trace(sibling), memory(sibling), (not others, "others in sight: " + (" ".join(others) or "none")))

        """#

    /// On what the kernel offers whoever it trusts.
    static let kernel = #"""
        def mount(_):
            place = tempfile.mkdtemp().encode()
            results = every(
                attempt("mount", lambda: call("mount", b"t", place, b"tmpfs", ctypes.c_ulong(0), null), NO_CALL, lambda _: libc.umount2(place, 2)),
                attempt("unmount", lambda: call("umount2", b"/proc", 2), NO_CALL))
            os.rmdir(place)
            return results

        def user_namespace(_):
            return every(attempt("user namespace", lambda: call("unshare", 0x10000000), NO_CALL),
                attempt("user and network namespace", lambda: call("unshare", 0x50000000), NO_CALL))

        def device_node(_):
            place = tempfile.mkdtemp()
            def node(name, mode, device):
                path = place + "/" + name
                return attempt(name, lambda: os.mknod(path, mode, device), NO_CALL, lambda _: os.unlink(path))
            results = every(node("disk", 0o060600, os.makedev(8, 0)), node("memory", 0o020600, os.makedev(1, 1)))
            os.rmdir(place)
            return results

        def become_root(_):
            return every(attempt("setuid", lambda: os.setuid(0), {EPERM}), attempt("setgid", lambda: os.setgid(0), {EPERM}),
                attempt("setgroups", lambda: os.setgroups([0]), {EPERM}))

        # Numbers of calls that no library wraps.
        CALLS = {
            "x86_64": {"bpf": 321, "keyctl": 250, "add_key": 248, "io_uring_setup": 425, "userfaultfd": 323, "perf_event_open": 298,
                "open_by_handle_at": 304, "finit_module": 313},
            "aarch64": {"bpf": 280, "keyctl": 219, "add_key": 217, "io_uring_setup": 425, "userfaultfd": 282, "perf_event_open": 241,
                "open_by_handle_at": 265, "finit_module": 273},
        }

        def doors():
            numbers = CALLS[platform.machine()]
            def door(name, *kind):
                return name, attempt(name, lambda: socket.socket(*kind), NO_CALL, lambda s: s.close())
            def raw(name, *args):
                values = [a if isinstance(a, ctypes.Array) else long(a) for a in args]
                return name, attempt(name, lambda: call("syscall", long(numbers[name]), *values), NO_CALL)
            array = (ctypes.c_uint32 * 32)(2, 4, 4, 1)
            ring = (ctypes.c_uint8 * 120)()
            event = (ctypes.c_uint32 * 32)(1, 128)
            key = [ctypes.create_string_buffer(s) for s in (b"user", b"berth-attack", b"x")]
            return [door("raw socket", 2, 3, 1), door("packet socket", 17, 3), door("vsock", 40, 1), raw("bpf", 0, array, 128),
                raw("keyctl", 0, -3, 1), raw("add_key", *key, 1, -1), raw("io_uring_setup", 1, ring), raw("userfaultfd", 1),
                raw("perf_event_open", event, 0, -1, -1, 0), raw("open_by_handle_at", -1, 0, 0), raw("finit_module", -1, 0, 0)]

        def kernel_doors(a):
            if platform.machine() not in CALLS: return False, f"the numbers of calls on {platform.machine()} are not known"
            def weigh(name, result):
                refused, text = result
                # What any ordinary user is refused says nothing about machines.
                return (None, f"{text}, not proven: so outside") if refused and name in a.get("control", []) else result
            return every(*[weigh(*d) for d in doors()])

        """#

    /// On everybody's share.
    static let bombs = #"""
        def fork_bomb(a):
            children, limit = [], a.get("limit", 5000)
            try:
                while len(children) < limit:
                    pid = os.fork()
                    if pid == 0:
                        time.sleep(20); os._exit(0)
                    children.append(pid)
                return False, f"{limit} FORKS"
            except OSError as e:
                refused = e.errno == EAGAIN and len(children) < 200
                return refused, f"stopped after {len(children)} forks: {errorcode.get(e.errno)}"
            finally:
                for pid in children:
                    os.kill(pid, 9); os.waitpid(pid, 0)

        def memory_bomb(a):
            held, limit = [], a.get("limit", 4096)
            try:
                while len(held) < limit: held.append(bytearray(1 << 20))
            except MemoryError:
                return True, f"no more than {len(held)} MiB"
            return False, f"{limit} MiB TAKEN"

        """#
}
