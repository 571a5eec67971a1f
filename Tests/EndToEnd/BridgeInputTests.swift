import Foundation
import TestSupport
import Testing

/// What `berth bridge` is given and cannot use: one line, the remedy, the exit code. `%` is a folder.
@Suite struct BridgeInputTests {
    private static let token = "0123456789abcdef0123"
    private static let files = [
        "tokens": token, "wide": token, "short": "secret", "env": "A=1\nB = \"hunter22", "bad.json": "{", "none.json": #"{"mcpServers": {}}"#,
        "missing.json": #"{"mcpServers": {"a": {"command": "nosuch"}}}"#,
        "cwd.json": #"{"mcpServers": {"a": {"command": "true", "cwd": "/nonexistent"}}}"#,
        "two.json": #"{"mcpServers": {"a": {"command": "nosuch"}, "b": {"command": "true"}}}"#,
    ]
    private static let rows = [
        BadInput("bridge", "--host", "localhost", "--", "true", code: 64, says: "--host 'localhost' is no numeric address — *"),
        BadInput(
            "bridge", "--host", "0.0.0.0", "--", "true", code: 64,
            says:
                "--host 0.0.0.0 without --token-file would let everybody who reaches this host call the server — add --token-file FILE, *"),
        BadInput("bridge", "--mode", "each", "--", "true", code: 64, says: "the value 'each' is invalid for '--mode <mode>'*"),
        BadInput("bridge", "--idle", "soon", "--", "true", code: 64, says: "--idle 'soon' is no time — 30s, 15m, 2h, or seconds, up to a week"),
        BadInput("bridge", "--cwd", "/nonexistent", "--", "true", code: 64, says: "--cwd '/nonexistent' is no directory — *"),
        BadInput("bridge", "--allow-origin", "app.example.org", "--", "true", code: 64, says: "--allow-origin 'app.example.org' is no origin — *"),
        BadInput("bridge", "--allow-origin", "https://a/", "--", "true", code: 64, says: "--allow-origin 'https://a/' is no origin — *"),
        BadInput("bridge", "--allow-host", "https://a", "--", "true", code: 64, says: "--allow-host 'https://a' is no HOST or HOST:PORT — *"),
        BadInput("bridge", "--env", "A", "--", "true", code: 64, says: "--env 'A' is not of the form NAME=VALUE — *"),
        BadInput("bridge", "--env-file", "%/nothing", "--", "true", code: 64, says: "--env-file %/nothing cannot be read: No such file or *"),
        BadInput("bridge", "--env-file", "%/env", "--", "true", code: 64, says: "%/env:2: the quote has no end — a value is one line"),
        BadInput("bridge", "--token-file", "%/nothing", "--", "true", code: 64, says: "--token-file %/nothing cannot be read: No such file *"),
        BadInput("bridge", "--token-file", "%/wide", "--", "true", code: 64, says: "--token-file %/wide is readable by others — chmod 600 %/wide"),
        BadInput(
            "bridge", "--token-file", "%/short", "--", "true", code: 64,
            says: "%/short:1: the token has fewer than 16 characters — openssl rand -hex 32 makes one"),
        BadInput("bridge", "--config", "%/nothing", code: 64, says: "--config %/nothing cannot be read: No such file or directory — *"),
        BadInput("bridge", "--config", "%/bad.json", code: 64, says: "%/bad.json is no JSON: *"),
        BadInput("bridge", "--config", "%/none.json", code: 64, says: "%/none.json names no server to start — *"),
        BadInput("bridge", "--config", "%/none.json", "--", "true", code: 64, says: "--config and a command exclude each other — *"),
        BadInput("bridge", "--config", "%/none.json", "--env", "A=1", code: 64, says: "--env and --config exclude each other — *"),
        BadInput("bridge", "--config", "%/none.json", "--cwd", "/", code: 64, says: "--cwd and --config exclude each other — *"),
        BadInput("bridge", "--config", "%/missing.json", says: "%/missing.json: a: no program nosuch in /usr/local/bin:/usr/bin:/bin — *"),
        BadInput("bridge", "--config", "%/two.json", "--exit-on-crash", says: "%/two.json: a: no program nosuch in *"),
        BadInput("bridge", "--config", "%/cwd.json", code: 64, says: "%/cwd.json: a: cwd '/nonexistent' is no directory — *"),
        BadInput("bridge", "--watch", "server.py", code: 64, says: "unexpected argument 'server.py' — put the server's command after --: *"),
        BadInput("bridge", "--exit-on-crash", "--", "/bin/false", says: "the bridge did not start: the server exited with status 1 — *"),
    ]

    @Test func isRefusedWithARemedy() async throws {
        try await withFolder(Self.files) { folder in
            chmod(folder + "/wide", 0o640)
            for row in Self.rows {
                let here = BadInput(
                    row.arguments.map { $0.replacingOccurrences(of: "%", with: folder) }, code: row.code,
                    says: row.line.replacingOccurrences(of: "%", with: folder))
                let result = try await Command.run([Repository.binary("berth")] + here.arguments, seconds: 120)
                if let complaint = here.fits(result) { Issue.record("\(complaint)") }
                #expect(!(result.output + result.errors).contains("hunter22") && !result.errors.contains(Self.token))
            }
        }
    }

    /// Failures are lines of the log too.
    @Test func asJSON() async throws {
        let result = try await Command.run([Repository.binary("berth"), "bridge", "--log-json", "--env", "API_KEY=x", "--", "nosuch"], seconds: 120)
        let lines = try result.errors.split(separator: "\n").map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        #expect(result.status == 1 && lines.map { $0?["level"] as? String } == ["warning", "error"], "\(result.errors)")
        #expect((lines.last??["message"] as? String)?.hasPrefix("no program nosuch in ") == true && lines.allSatisfy { $0?["time"] is String })
    }
}
