import Foundation
import TestSupport
import Testing

/// What an operator may type wrong at a Berth that runs: one line with the remedy, and nothing has changed.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct BadInputCommandTests {
    @Test func everyCommandRefusesInOneLine() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("clock", fixture: "fixture.py")
            try await berth.json(["vmcp", "create", "office", "clock"])
            _ = try await berth.token(for: "alice", vmcp: "office")

            try await berth.refuses(commandLine + processes + sources + names + variables + changes)
            try await berth.refuses(settings(berth))
            try await berth.refuses(try folders(berth))
            try await requests(berth)
            try await warnings(berth)
        }
    }

    /// Commands and flags.
    private let commandLine: [BadInput] = [
        BadInput("statsu", code: 64, says: "'berth statsu' is no command — did you mean 'status'?"),
        BadInput("frobnicate", code: 64, says: "'berth frobnicate' is no command — berth --help lists them"),
        BadInput("connector", "ad", code: 64, says: "'berth connector ad' is no command — did you mean 'add'?"),
        BadInput("up", "--lisen", "127.0.0.1:1", code: 64, says: "unknown option '--lisen' — did you mean '--listen'?"),
        BadInput("status", "--colour", code: 64, says: "unknown option '--colour' — berth status --help shows how"),
        BadInput("status", "now", code: 64, says: "unexpected argument 'now' — berth status --help shows how"),
        BadInput("connector", "add", code: 64, says: "missing expected argument '<name>' — berth connector add --help shows how"),
        BadInput("vmcp", "create", "x", code: 64, says: "missing expected argument '<connectors> ...' — berth vmcp create --help shows how"),
        BadInput("status", "--state", "", code: 64, says: "--state is empty — give a directory*"),
        BadInput("logs", "clock", "--lines", "0", code: 64, says: "--lines 0 is out of range — 1 to 10000"),
        BadInput("audit", "tail", "-n", "many", code: 64, says: "the value 'many' is invalid for '-n <n>' — berth audit tail --help shows how"),
        BadInput("up", "--listen", "nowhere", code: 64, says: "--listen 'nowhere' is not ADDRESS:PORT — for example 127.0.0.1:8787"),
        BadInput("up", "--listen", "127.0.0.1:70000", code: 64, says: "--listen '127.0.0.1:70000' is not ADDRESS:PORT*"),
        BadInput("up", "--listen", "127.evil:80", code: 64, says: "--listen: '127.evil' is no address — a numeric one, for example 127.0.0.1:8787"),
        BadInput(
            "up", "--listen", "0.0.0.0:8787", code: 64,
            says: "listening on 0.0.0.0 without TLS would show every token to the network — listen on 127.0.0.1, or put a TLS proxy in front *"),
        BadInput(
            "up", "--listen", "0.0.0.0:8787", "--behind-proxy", "10.0.0.0/8", code: 64,
            says: "--listen 0.0.0.0:8787 is every address of this host and no name for clients — add --public-url https://HOST"),
        BadInput(
            "up", "--listen", "0.0.0.0:8787", "--public-url", "http://127.0.0.1", code: 64, says: "listening on 0.0.0.0 without TLS would*"),
        BadInput("up", "--public-url", "http://mcp.example.com", code: 64, says: "--public-url 'http://mcp.example.com' is not https://HOST — *"),
        BadInput("up", "--public-url", "https://a/b", code: 64, says: "--public-url 'https://a/b' is not https://HOST — *"),
        BadInput("up", "--behind-proxy", "10.0.0.0/99", code: 64, says: "--behind-proxy '10.0.0.0/99' is no network — *"),
        BadInput("up", "--package-index", "ftp://index", code: 64, says: "--package-index: ftp://index cannot be the package index: *"),
        BadInput("bridge", "--port", "99999", "--", "true", code: 64, says: "--port 99999 is out of range — 0 to 65535"),
        BadInput("bridge", code: 64, says: "no command given — berth bridge --port 8000 -- python3 server.py"),
        BadInput("call", "ftp://x", "t", code: 64, says: "'ftp://x' is not http://HOST:PORT/… or https://HOST/… — *"),
        BadInput("call", "http://127.0.0.1:1/v/x/mcp", "t", "[]", code: 64, says: "the arguments are no JSON object — *"),
    ]

    /// What is started or looked for on this host.
    private let processes: [BadInput] = [
        BadInput(
            "bridge", "python3", "server.py", code: 64,
            says: "2 unexpected arguments: 'python3', 'server.py' — put the server's command after --: berth bridge -- python3 server.py"),
        BadInput("bridge", "python3", "-m", "server", code: 64, says: "unknown option '-m' — put the server's command after --: *"),
        BadInput("bridge", "--colour", code: 64, says: "unknown option '--colour' — berth bridge --help shows how"),
        BadInput(
            "connector", "add", "x", "--dir", "/tmp", "python3", "server.py", code: 64,
            says:
                "2 unexpected arguments: 'python3', 'server.py' — put the server's command after --: berth connector add NAME … -- python3 server.py"),
        BadInput("connector", "add", "x", "--dir", "/tmp", "python3", "-m", "x", code: 64, says: "unknown option '-m' — put the server's command *"),
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--http", "mcp", code: 64,
            says: "--http mcp is no place of a server — PORT or PORT/PATH, for example 8000 or 8000/mcp"),
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--http", "80", code: 64,
            says: "--http 80: a server without privileges cannot listen on that port — 1024 to 65535; *"),
        BadInput(
            "connector", "update", "x", "--http", "8000", "--stdio", code: 64,
            says: "--http and --stdio exclude each other — give one of them"),
        BadInput("connector", "add", "x", "--pypi", "a", "--colour", code: 64, says: "unknown option '--colour' — berth connector add --help *"),
        BadInput(
            "call", "http://127.0.0.1:1/v/x/mcp", "t", "a=1", "b=2", code: 64, says: "unexpected argument 'b=2' — a tool's arguments are one JSON *"),
        BadInput("call", "http://127.0.0.1:1/v/x/mcp", "t", says: "nothing listens at http://127.0.0.1:1/v/x/mcp — berth status has the URL; *"),
        BadInput("call", "http://127.0.0.1:1/v/x/mcp", "t", "--json", says: "nothing listens at http://127.0.0.1:1/v/x/mcp — *"),
        BadInput("bridge", "--", "nosuch", says: "no program nosuch in your PATH, nor in /usr/local/bin:/usr/bin:/bin — *"),
        BadInput(
            "bridge", "--", "/nonexistent/x",
            says: "/nonexistent/x cannot be started: No such file or directory — give the path of a program, *"),
        BadInput("bridge", "--", "/tmp", says: "/tmp is no program — *"),
        BadInput(
            "bridge", "--", "/etc/passwd",
            says: "/etc/passwd is not executable — chmod +x /etc/passwd, or name what runs it: -- python3 /etc/passwd"),
        BadInput("bridge", "--json", "--exit-on-crash", "--", "/usr/bin/true", says: "the bridge did not start: *"),
        BadInput(
            "audit", "tail", "--method", "tools/cal",
            says: "no row has the method tools/cal, which is neither MCP's nor Berth's — did you mean 'tools/call'?"),
        BadInput("audit", "tail", "-f", "--method", "admin/token.crate", says: "no row has the method admin/token.crate, *"),
        BadInput("doctor", "--prove", "--leftovers", code: 64, says: "--prove and --leftovers exclude each other — run one after the other"),
        BadInput(
            "doctor", "--leftovers", "--state", "/nonexistent/state",
            says: "no state directory /nonexistent/state — give --state the directory that berth up was given"),
    ]

    /// What cannot take effect at a Berth that runs.
    private func settings(_ berth: Berth) -> [BadInput] {
        let runs = "Berth runs already, with --listen 127.0.0.1:\(berth.port)"
        let remedy = "berth down --state \(berth.state), then berth up with the new settings"
        return [
            BadInput("up", "--listen", "127.0.0.1:\(berth.port - 1)", says: "\(runs) — \(remedy)"),
            BadInput("up", "--detach", "--json", "--listen", "127.0.0.1:\(berth.port - 1)", says: "\(runs) — \(remedy)"),
            BadInput(
                "up", "--public-url", "https://mcp.example.com", "--behind-proxy", "10.0.0.0/8",
                says: "Berth runs already, with no --public-url and no --behind-proxy — \(remedy)"),
            BadInput(
                "up", "--package-index", "http://127.0.0.1:1/simple",
                says: "Berth runs already, with --package-index https://pypi.org/simple — \(remedy)"),
        ]
    }

    /// Changes of a connector that would lose something or nothing.
    private let changes: [BadInput] = [
        BadInput("connector", "update", "clock", "--drop-secret", "NOPE", says: "failed: clock has no secret NOPE — berth connector show clock"),
        BadInput("connector", "update", "clock", "--drop-env", "NOPE", says: "failed: clock has no variable NOPE — berth connector show clock"),
        BadInput(
            "connector", "update", "clock", "--env", "Q=1", "--drop-env", "Q", says: "failed: Q is to be set and to be dropped — give it once"),
        BadInput(
            "connector", "update", "clock", "--no-args", "--arg", "x",
            code: 64, says: "--arg and --no-args exclude each other — give one of them"),
        BadInput(
            "connector", "update", "clock", "--no-constraints", "--constraint", "mcp<2", code: 64,
            says: "--constraint and --no-constraints exclude each other — give one of them"),
        BadInput("connector", "update", "clock", "--reset", says: "failed: --reset begins anew and needs the source again — add --pypi SPEC, or *"),
    ]

    /// Where a connector comes from.
    private let sources: [BadInput] = [
        BadInput("connector", "add", "x", code: 64, says: "no source given — give one of --pypi SPEC, --npm SPEC, --dir DIR, --binary FILE and --oci IMAGE"),
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--dir", "/tmp", "--", "true", code: 64,
            says: "--pypi and --dir exclude each other — give one of them"),
        BadInput("connector", "add", "x", "--dir", "/tmp", code: 64, says: "--dir needs the command of its server — *"),
        BadInput(
            "connector", "add", "x", "--dir", "/nonexistent", "--", "true", code: 64,
            says: "--dir /nonexistent cannot be read: No such file or directory — give a folder"),
        BadInput("connector", "add", "x", "--pypi", "a", "--requirements", "/etc/hosts", code: 64, says: "--requirements belongs to --dir — *"),
        BadInput("connector", "add", "x", "--pypi", "", says: "failed: the package name is empty or too long — for example mcp-server-time"),
        BadInput("connector", "add", "x", "--pypi", "../../etc", says: "failed: ../../etc is no requirement on a package — *"),
        BadInput(
            "connector", "add", "x", "--pypi", "git+https://host/repo", says: "failed: git+https://host/repo is no requirement on a package — *"),
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--constraint=--index-url=http://evil", says: "failed: --index-url=http://evil is no requirement*"
        ),
        BadInput(
            "connector", "add", "x", "--pypi", "mcp-server-time", "--constraint", "mcp<<2",
            says: "failed: mcp<<2 is no requirement on a package — *"),
        BadInput("connector", "add", "x", "--pypi", String(repeating: "a", count: 5_000), says: "failed: the package name is empty or too long — *"),
        BadInput("connector", "add", "x", "--pypi", "a", "--memory", "1", says: "failed: --memory 1 is out of range — 64 to 16384 MiB"),
        BadInput("connector", "add", "x", "--pypi", "a", "--memory", "lots", code: 64, says: "the value 'lots' is invalid for '--memory <mib>' — *"),
        BadInput("connector", "add", "x", "--pypi", "a", "--pids", "100000", says: "failed: --pids 100000 is out of range — 16 to 1024"),
    ]

    /// Names that are wrong, taken, unknown or in use.
    private let names: [BadInput] = [
        BadInput("connector", "add", "Bad_Name", "--pypi", "a", code: 64, says: "'Bad_Name' is no connector name — use 1 to 32 of a-z, 0-9 and -, *"),
        BadInput("connector", "add", "", "--pypi", "a", code: 64, says: "'' is no connector name — *"),
        BadInput("connector", "add", "../up", "--pypi", "a", code: 64, says: "'../up' is no connector name — *"),
        BadInput("connector", "add", "a\u{1B}[2Jb", "--pypi", "a", code: 64, says: "'a\u{FFFD}[2Jb' is no connector name — *"),
        BadInput(
            "connector", "add", String(repeating: "x", count: 9_000), "--pypi", "a", code: 64,
            says: "'\(String(repeating: "x", count: 64))' is no connector name — *"),
        BadInput(
            "connector", "add", "clock", "--pypi", "a",
            says: "failed: a connector named clock is there already — berth connector update clock, or another name"),
        BadInput("connector", "update", "clok", "--pypi", "a", says: "failed: no connector named clok — did you mean 'clock'?"),
        BadInput("connector", "remove", "clok", says: "no connector named clok — did you mean 'clock'?"),
        BadInput("connector", "remove", "weather", says: "no connector named weather — berth connector list"),
        BadInput("connector", "remove", "clock", says: "clock is in the virtual MCP office — berth vmcp update or remove office first"),
        BadInput("logs", "clok", says: "no machine of a connector named clok — did you mean 'clock'?"),
        BadInput("vmcp", "create", "new", "clok", says: "no connector named clok — did you mean 'clock'?"),
        BadInput("vmcp", "create", "new", "clock", "clock", says: "a connector is named twice — berth vmcp create NAME CONNECTOR…"),
        BadInput("vmcp", "create", "office", "clock", says: "a virtual MCP named office is there already — berth vmcp update office CONNECTOR…"),
        BadInput("vmcp", "create", "No Such", "clock", says: "'No Such' is no name for a virtual MCP — use 1 to 32 of *"),
        BadInput("vmcp", "update", "ofice", "clock", says: "no virtual MCP named ofice — did you mean 'office'?"),
        BadInput("vmcp", "remove", "ofice", says: "no virtual MCP named ofice — did you mean 'office'?"),
        BadInput("token", "create", "--for", "bob", "--vmcp", "ofice", says: "no virtual MCP named ofice — did you mean 'office'?"),
        BadInput("token", "create", "--for", "bob", code: 64, says: "--vmcp is missing — berth token create --for alice --vmcp office"),
        BadInput("token", "create", "--vmcp", "office", code: 64, says: "--for is missing — berth token create --for alice --vmcp office"),
        BadInput("token", "create", "--for", "a b", "--vmcp", "office", says: "the principal is empty, over 128 bytes, or holds blanks or *"),
        BadInput("token", "create", "--for", "a\u{202E}b", "--vmcp", "office", says: "the principal is empty, over 128 bytes, or holds blanks or *"),
        BadInput(
            "token", "create", "--for", "bob", "--vmcp", "office", "--expires", "soon", code: 64,
            says: "'soon' is no duration — for example 30m, 12h or 90d"),
        BadInput("token", "create", "--for", "bob", "--vmcp", "office", "--expires", "0d", code: 64, says: "'0d' is no duration — *"),
        BadInput("token", "create", "--for", "bob", "--vmcp", "office", "--expires=-1h", code: 64, says: "'-1h' is no duration — *"),
        BadInput("token", "create", "--for", "bob", "--vmcp", "office", "--expires", "99999d", says: "the expiry is out of range — *"),
        BadInput("token", "revoke", "nosuch", says: "no token has the ID nosuch — berth token list"),
        BadInput("token", "revoke", "alice", says: "alice is no token's ID but a principal — berth token revoke *"),
    ]

    /// `--env` and `--secret`.
    private let variables: [BadInput] = [
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--secret", "K=value", code: 64,
            says: "--secret K=… would show the secret in the process list — --secret K asks for it, --secret K=@FILE reads a file"),
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--secret", "K=@/nonexistent", code: 64,
            says: "the file of --secret K cannot be read: /nonexistent — *"),
        BadInput("connector", "add", "x", "--pypi", "a", "--secret", "K", code: 64, says: "standard input holds no value for --secret K — *"),
        BadInput("connector", "add", "x", "--pypi", "a", "--secret", "K", code: 64, says: "the value of K is empty — give a value", input: "\n"),
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--secret", "K", "--env", "K=1", code: 64,
            says: "K is given as --env too — give it once, with --secret", input: "v\n"),
        BadInput("connector", "add", "x", "--pypi", "a", "--env", "NAME", code: 64, says: "--env 'NAME' is not of the form NAME=VALUE — *"),
        BadInput("connector", "add", "x", "--pypi", "a", "--env", "1A=b", says: "failed: '1A' is no environment variable name — *"),
        BadInput(
            "connector", "add", "x", "--pypi", "a", "--env", "A=" + String(repeating: "b", count: 70_000),
            says: "failed: the value is over 64 KiB — *"),
        BadInput("connector", "add", "x", "--pypi", "a", "--arg", String(repeating: "b", count: 70_000), says: "failed: the argument 'bbbb*"),
    ]

    /// Folders with what does not belong into an image.
    private func folders(_ berth: Berth) throws -> [BadInput] {
        let base = (berth.state as NSString).deletingLastPathComponent
        func folder(_ name: String, link: String, to target: String) throws -> String {
            try FileManager.default.createDirectory(atPath: "\(base)/\(name)/inner", withIntermediateDirectories: true)
            try "print()".write(toFile: "\(base)/\(name)/server.py", atomically: true, encoding: .utf8)
            try FileManager.default.createSymbolicLink(atPath: "\(base)/\(name)/\(link)", withDestinationPath: target)
            return "\(base)/\(name)"
        }
        func add(_ folder: String, _ line: String) -> BadInput {
            BadInput("connector", "add", "x", "--dir", folder, "--", "python3", "server.py", code: 64, says: line)
        }
        let command = ["--", "python3", "server.py"]
        let holder = try folder("holder", link: "same", to: "server.py")
        try FileManager.default.createDirectory(atPath: holder + "/inner/gateway", withIntermediateDirectories: true)
        for name in ["version", "gateway/keys"] { try "1\n".write(toFile: "\(holder)/inner/\(name)", atomically: true, encoding: .utf8) }
        let plain = try folder("plain", link: "inner/same", to: "../server.py")
        return [
            add(try folder("absolute", link: "passwd", to: "/etc/passwd"), "the link passwd leaves the folder — copy what it names into the folder"),
            add(try folder("relative", link: "inner/up", to: "../../../../../etc/passwd"), "the link inner/up leaves the folder — *"),
            add(try folder("sibling", link: "state", to: "../absolute"), "the link state leaves the folder — *"),
            add(try folder("dangling", link: "gone", to: "nowhere"), "the link gone leads nowhere — remove it"),
            BadInput(
                "connector", "add", "x", "--dir", berth.state + "/gateway", "--", "true", code: 64,
                says: "\(berth.state) holds the state of a Berth, with its keys — copy what the server needs into a folder of its own"),
            BadInput(
                "connector", "add", "x", "--dir", base + "/holder", "--", "true", code: 64,
                says: "\(base)/holder/inner holds the state of a Berth, with its keys — *"),
            BadInput("connector", "add", "x", "--dir", "/etc", "--", "true", code: 64, says: "/etc lies in /etc, which belongs to the system — *"),
            add(try folder("circle", link: "round", to: "round"), "the link round leads nowhere — remove it"),
            BadInput(
                ["connector", "add", "x", "--dir", plain, "--requirements", "/nonexistent"] + command, code: 64,
                says: "--requirements /nonexistent cannot be read: *"),
            BadInput(["connector", "add", "x", "--dir", plain, "--", "nodejs", "server.js"], says: "failed: the image holds no program nodejs — *"),
            BadInput(
                ["connector", "add", "x", "--dir", plain, "--", "/etc/../bin/sh"], says: "failed: the image holds no program /etc/../bin/sh — *"),
        ]
    }

    /// What no command line can hold: straight to the control socket.
    private func requests(_ berth: Berth) async throws {
        let before = try await Snapshot.of(berth)
        func expect(_ method: String, _ path: String, _ body: String, type: String = "application/json", _ status: Int, _ error: String) async throws
        {
            let answer = try await berth.control(method, path, body, type: type)
            #expect(answer.status == status && answer.json["error"] as? String == error, "\(path) \(body.prefix(200)): \(answer)")
            #expect((answer.json["message"] as? String)?.isEmpty == false, "\(answer)")
        }
        let api = "/api/v1"
        try await expect("POST", api + "/connectors", #"{"name":"a\u0000b","source":{"pypi":"a"}}"#, 200, "invalid")
        try await expect("POST", api + "/connectors", #"{"name":"x","source":{"pypi":"a"},"env":{"A":"b\u0000c"}}"#, 200, "invalid")
        try await expect("POST", api + "/connectors", #"{"name":"x","source":{"pypi":"a"},"args":["\u0000"]}"#, 200, "invalid")
        try await expect("POST", api + "/connectors", #"{"name":"x","source":{"pypi":"a","upload":"b"}}"#, 200, "invalid")
        try await expect("POST", api + "/connectors", #"{"name":"x"}"#, 200, "invalid")
        try await expect("POST", api + "/connectors", "{", 400, "invalid")
        try await expect("POST", api + "/connectors", "name=x", type: "application/x-www-form-urlencoded", 415, "unsupported_media_type")
        try await expect("POST", api + "/vmcps", #"{"name":"a\u0000b","connectors":["clock"]}"#, 400, "invalid")
        try await expect("POST", api + "/vmcps", #"{"name":"ok","connectors":["clo\u0000ck"]}"#, 404, "not_found")
        try await expect("POST", api + "/vmcps", #"{"name":"ok","connectors":[]}"#, 400, "invalid")
        try await expect("POST", api + "/vmcps", #"{"name":"ok","connectors":"clock"}"#, 400, "invalid")
        try await expect("POST", api + "/tokens", #"{"principal":"a\u0000","vmcp":"office"}"#, 400, "invalid")
        try await expect("POST", api + "/tokens", #"{"principal":"bob","vmcp":"office","expires_in":-5}"#, 400, "invalid")
        try await expect("POST", api + "/tokens", #"{"principal":"bob","vmcp":"office","expires_in":1e300}"#, 400, "invalid")
        try await expect("POST", api + "/tokens", #"{"principal":"bob","vmcp":"office","expires_in":"1d"}"#, 400, "invalid")
        try await expect("POST", api + "/tokens", #"{"principal":"bob"}"#, 400, "invalid")
        try await expect("DELETE", api + "/connectors/..%2f..%2fetc", "", 404, "not_found")
        try await expect("DELETE", api + "/tokens/%00", "", 404, "not_found")
        try await expect("GET", api + "/nosuch", "", 404, "not_found")
        let after = try await Snapshot.of(berth)
        #expect(after == before, "\(before.difference(after))")
    }

    /// `--env` with the name of a secret works, and says what would be better.
    private func warnings(_ berth: Berth) async throws {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/clock-source"
        let result = try await berth.run(
            ["connector", "add", "warned", "--dir", folder, "--env", "API_TOKEN=x", "--env", "LEVEL=info", "--json", "--", "python3", "server.py"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(
            result.errors.split(separator: "\n").map(String.init) == [
                "berth: warning: API_TOKEN sounds like a secret and --env is kept in clear — use --secret API_TOKEN"
            ])
        try await berth.json(["connector", "remove", "warned"])
    }
}
