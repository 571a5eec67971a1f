import Foundation
import TestSupport
import Testing

/// Servers that speak HTTP, in real machines.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct HTTPConnectorTests {
    /// Started with the port that the machine is told of, or with another.
    private func add(_ berth: Berth, _ name: String, fixture: String, requirements: String?, port: Int, http: Int) async throws -> CommandResult {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/\(name)-source"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Repository.fixture(fixture), toPath: folder + "/server.py")
        // A way out beside it takes ports of the same loopback device, and addresses of all hosts.
        var options = ["--http", "\(http)", "--egress", "berth.example"]
        if let requirements {
            try requirements.write(toFile: folder + "/requirements.txt", atomically: true, encoding: .utf8)
            options += ["--requirements", folder + "/requirements.txt"]
        }
        return try await berth.run(["connector", "add", name, "--dir", folder] + options + ["--", "python3", "server.py", "\(port)"], seconds: 300)
    }

    /// The server's processes as the host sees them: the port is nobody else's.
    private func servers(_ port: Int) throws -> [pid_t] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { entry in
            guard let pid = pid_t(entry), let line = try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8) else { return nil }
            return Array(line.split(separator: "\0").suffix(2)) == ["server.py", "\(port)"] ? pid : nil
        }
    }

    private func count(_ session: LegacySession) async throws -> String? {
        try await session.send("tools/call", ["name": "count", "arguments": [:]]).text
    }

    @Test func hostsTheSDKsServer() async throws {
        let port = try FreePort.take()
        try await Berth.run { berth in
            try await berth.up()
            let added = try await add(berth, "web", fixture: "http_sdk_server.py", requirements: "mcp==2.3.0\n", port: port, http: port)
            #expect(added.status == 0 && added.output.contains("web ready"), "\(added.output) \(added.errors) \(berth.log)")
            let shown = try await berth.run(["connector", "show", "web"])
            #expect(shown.output.contains("Streamable HTTP at http://127.0.0.1:\(port)/mcp of its machine"), "\(shown.output)")
            #expect(try await berth.run(["machines", "list"]).output.contains("http:\(port)"))
            try await berth.json(["vmcp", "create", "office", "web"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let bob = try await berth.token(for: "bob", vmcp: "office")

            for (sdk, mode, version) in [("2.3.0", "auto", "2026-07-28"), ("2.3.0", "legacy", "2025-11-25"), ("1.30.0", "legacy", "2025-11-25")] {
                let client = try await Command.run(
                    [
                        Repository.python(mcp: sdk), Repository.fixture("client.py"), alice.url, alice.token, mode, "echo",
                        #"{"text":"hello from \#(sdk)"}"#, "steps", "{}",
                    ], seconds: 120)
                let answer = try #require(client.lastJSON, "\(sdk) \(mode): \(client.output) \(client.errors) \(berth.log)")
                #expect(answer["version"] as? String == version && (answer["tools"] as? [String])?.contains("echo") == true, "\(answer)")
                #expect("\(answer["results"] ?? "")".contains("hello from \(sdk)") && "\(answer["results"] ?? "")".contains("done"), "\(answer)")
            }

            // One process, and a session of its own for each.
            let first = try await LegacySession.open(RawClient(url: alice.url, token: alice.token))
            let second = try await LegacySession.open(RawClient(url: bob.url, token: bob.token))
            for number in 1...3 { #expect(try await count(first) == "\(number)") }
            #expect(try await count(second) == "1")
            #expect(try servers(port).count == 1)

            // The death of the server in a call.
            let caller = RawClient(url: alice.url, token: alice.token)
            let call = Task { try await caller.call("sleep", ["seconds": 60]) }
            try await eventually("the call is at the server") { try await berth.run(["logs", "web"]).output.contains("sleeps") }
            kill(try #require(try servers(port).first), SIGKILL)
            let answer = try await call.value
            let text = String(decoding: answer.body, as: UTF8.self)
            #expect(text.contains("outcome_unknown") && text.contains("killed by signal 9"), "\(text)")
            #expect(try await count(second) == "1", "the next call starts it again")
            #expect(try servers(port).count == 1)
            #expect(try await count(first) == "1")
        }
    }

    @Test func aServerOnAnotherPortIsRefusedWithItsPort() async throws {
        let (port, other) = (try FreePort.take(), try FreePort.take())
        try await Berth.run { berth in
            try await berth.up()
            let wrong = try await add(berth, "wrong", fixture: "http_server.py", requirements: nil, port: port, http: other)
            #expect(wrong.status != 0, "\(wrong.output)")
            #expect(
                wrong.errors.contains("did not listen on port \(other) within 30 s, but listens on port \(port): give --http \(port)"),
                "\(wrong.output) \(wrong.errors) \(berth.log)")
            let gone = try await berth.run(["connector", "show", "wrong"])
            #expect(gone.status != 0 && gone.errors.contains("no connector"), "never as STDIO, and never half: \(gone.output) \(gone.errors)")
        }
    }
}
