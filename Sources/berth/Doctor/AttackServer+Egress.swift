extension AttackServer {
    /// Names and titles of the attacks of a machine that may reach `allowed.invalid` and, by its list, the host's own `localhost`; and
    /// what the orchestrator must have counted of each: host, port, reason.
    static let egressAttacks: [(name: String, title: String, counted: [(host: String, port: Int, reason: String)])] = [
        ("other_host", "reach a host that is not on the list", [("other.invalid", 0, "not_allowed")]),
        ("other_names", "ask the name service for other names, in every way", [("secret.other.invalid", 0, "not_allowed")]),
        ("literal_address", "reach an address without a name", [("1.1.1.1", 443, "literal")]),
        ("metadata_address", "reach the address at which a cloud answers its machines", [("169.254.169.254", 80, "literal")]),
        ("host_loopback", "reach the host by a name of its loopback", [("localhost", 443, "not_global")]),
        ("foreign_tls_name", "speak TLS to another name over an allowed one", [("other.invalid", 443, "wrong_name")]),
        ("no_tls", "speak something else than TLS on 443", [("allowed.invalid", 443, "no_tls_name")]),
        ("other_port", "reach an allowed host on another port", []),
        ("take_ports", "bind the agent's ports beside it", []),
        ("relay_socket", "speak to the orchestrator's relay", []),
        ("change_network", "change the machine's network", []),
    ]

    static let egressList = ["allowed.invalid", "allowed.invalid:80", "localhost"]

    /// Served in place of the others when the server is started with `egress`.
    static let egress = #"""
        import struct
        NAME_SERVER = ("127.0.0.53", 53)

        def ask(name, kind=1, at=NAME_SERVER, tcp=False):
            """One question: the outcome, and the addresses that came."""
            labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split("."))
            query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
                s.settimeout(20)
                s.connect(at)
                s.sendall(struct.pack(">H", len(query)) + query if tcp else query)
                answer = s.recv(4096)
            if tcp: answer = answer[2:]
            count = struct.unpack(">H", answer[6:8])[0]
            return answer[3] & 15, [socket.inet_ntoa(answer[-4:])] if count and kind == 1 else []

        def hello(name):
            """A ClientHello."""
            import ssl
            context = ssl.create_default_context()
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            try: context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
            except ssl.SSLWantReadError: pass
            return outgoing.read()

        def reach(what, address, port, bytes):
            """Refused: the connection is reset, and no byte comes back."""
            def act():
                with socket.create_connection((address, port), timeout=60) as s:
                    s.sendall(bytes)
                    return s.recv(1)
            # Not every kernel has IPv6.
            return attempt(f"{what}:{port}", act, {ECONNRESET, EPIPE} | ({ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT} if ":" in address else set()))

        def nobody(what, act):
            return attempt(what, act, {ECONNREFUSED}, lambda s: s.close())

        def unknown(name, kind, tcp):
            outcome, found = ask(name, kind, tcp=tcp)
            how = f"{name} (type {kind}, {'TCP' if tcp else 'UDP'})"
            return (outcome == 3 and not found, f"{how}: {'does not exist' if outcome == 3 else f'SUCCEEDED with {outcome} {found}'}")

        def known(a, name):
            if "address" in a: return a["address"]
            outcome, found = ask(name)
            if not found: raise OSError(ENODATA, f"{name} has no address, outcome {outcome}")
            return found[0]

        def other_host(a):
            name = a.get("name", "other.invalid")
            try: found = socket.getaddrinfo(name, 443)
            except socket.gaierror as e: return e.errno == socket.EAI_NONAME, f"{name}: {e}"
            return False, f"{name} SUCCEEDED: {found[0][4]}"

        def other_names(a):
            return every(*[unknown("secret.other.invalid", kind, tcp) for kind in (1, 28, 16, 65, 255) for tcp in (False, True)])

        def literal_address(a):
            at = a.get("at", [["1.1.1.1", 443], ["2606:4700:4700::1111", 443]])
            return every(*[reach(address, address, port, hello("allowed.invalid")) for address, port in at])

        def metadata_address(a):
            at = a.get("at", [["169.254.169.254", 80]])
            return every(*[reach(address, address, port, b"GET / HTTP/1.0\r\n\r\n") for address, port in at])

        def host_loopback(a):
            return reach("localhost", known(a, "localhost"), a.get("port", 443), hello("localhost"))

        def foreign_tls_name(a):
            return reach("allowed.invalid as other.invalid", known(a, "allowed.invalid"), a.get("port", 443), hello("other.invalid"))

        def no_tls(a):
            return reach("allowed.invalid", known(a, "allowed.invalid"), a.get("port", 443), b"SSH-2.0-attack\r\n")

        def other_port(a):
            address = known(a, "allowed.invalid")
            return every(*[nobody(f"allowed.invalid:{port}", lambda: socket.create_connection((address, port), timeout=20))
                for port in a.get("ports", [22, 8443])])

        def take_ports(a):
            def take(kind, address, port, options):
                def act():
                    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
                    try:
                        for option in options: s.setsockopt(socket.SOL_SOCKET, option, 1)
                        s.bind((address, port))
                        if kind == socket.SOCK_STREAM: s.listen()
                    except OSError:
                        s.close()
                        raise
                    return s
                how = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
                refusals = {EADDRINUSE} | ({EAFNOSUPPORT} if ":" in address else set())
                return attempt(f"{how} {address}:{port} with {options}", act, refusals, lambda s: s.close())
            reuse = [[], [socket.SO_REUSEADDR], [socket.SO_REUSEPORT], [socket.SO_REUSEADDR, socket.SO_REUSEPORT]]
            at = a.get("at", [["127.0.0.53", 53], ["0.0.0.0", 53], ["198.18.0.1", 443], ["0.0.0.0", 443], ["::", 443]])
            return every(*[take(kind, address, port, options) for address, port in at for options in reuse
                for kind in ([socket.SOCK_DGRAM, socket.SOCK_STREAM] if port == 53 else [socket.SOCK_STREAM])])

        def relay_socket(a):
            path = a.get("path", "/run/berth/egress.sock")
            def connect():
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                return s
            return every(attempt(path, connect, DENIED, lambda s: s.close()),
                attempt(f"replace {path}", lambda: os.rename(path, path + ".old"), DENIED | {EROFS}, lambda s: os.rename(path + ".old", path)))

        def change_network(a):
            def flags():
                import fcntl
                with socket.socket() as s:
                    request = bytearray(fcntl.ioctl(s, 0x8913, struct.pack("16sh22x", b"lo", 0)))
                    return fcntl.ioctl(s, 0x8914, bytes(request))
            def route():
                with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
                    # Another route to everything, which the loopback would have beside its first one.
                    message = struct.pack("=IHHIIBBBBBBBBIHHI", 36, 24, 0x605, 1, 0, 2, 32, 0, 0, 255, 3, 254, 2, 0, 8, 4, 1)
                    s.send(message)
                    code = struct.unpack("=i", s.recv(512)[16:20])[0]
                    if code < 0: raise OSError(-code, "route")
            return every(attempt("flags of lo", flags, DENIED), attempt("a route", route, DENIED))

        EGRESS = {f.__name__: f for f in (other_host, other_names, literal_address, metadata_address, host_loopback, foreign_tls_name, no_tls,
            other_port, take_ports, relay_socket, change_network)}

        """#
}
