import Foundation
import TestSupport
import Testing

/// A connector with a list of hosts: what it reaches, what it does not, and what is told of that. Its machine is real; whom it calls
/// listens on this host, at the address that the host's own name has, which is an admin's exception (`--egress-private`).
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .enabled(if: HostsName.isUsable, "the host's name does not resolve"))
struct EgressTests {
    private struct Rig {
        let berth: Berth
        let client: RawClient

        /// What a tool of `reaches_out.py` answered, or the error that it saw.
        func call(_ tool: String, _ arguments: [String: Any]) async throws -> (answer: Any?, error: String?) {
            let text = try #require(try await client.call(tool, arguments).text, "\(berth.log)")
            let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            return (object?["answer"], object?["error"] as? String)
        }

        func fetch(_ host: String, _ port: Int, _ more: [String: Any] = [:]) async throws -> (answer: String?, error: String?) {
            let result = try await call("fetch", ["host": host, "port": port].merging(more) { $1 })
            return (result.answer as? String, result.error)
        }

        func refusals() async throws -> [[String: Any]] {
            try await berth.json(["connector", "show", "out"])["egress_refused"] as? [[String: Any]] ?? []
        }

        /// Waits until a refusal is counted, and answers its row.
        func counted(_ host: String, _ port: Int, _ reason: String) async throws -> [String: Any] {
            var row: [String: Any]?
            _ = await eventually {
                row = try? await refusals().first { $0["host"] as? String == host && $0["port"] as? Int == port && $0["reason"] as? String == reason }
                return row != nil
            }
            let all = try await refusals()
            return try #require(row, "\(host):\(port) \(reason): \(all)")
        }
    }

    private func with(_ options: [String], _ body: (Rig) async throws -> Void) async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("out", fixture: "reaches_out.py", options)
            try await berth.json(["vmcp", "create", "office", "out"])
            let token = try await berth.token(for: "ann", vmcp: "office")
            try await body(Rig(berth: berth, client: RawClient(url: token.url, token: token.token)))
        }
    }

    /// A listener of `listens.py` for the length of `body`, which hears its port; 0 when the one that was asked for is another's.
    private func listening(_ port: Int = 0, isSecure: Bool = false, _ body: (Int) async throws -> Void) async throws {
        let directory = "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var arguments = ["/usr/bin/python3", Repository.fixture("listens.py"), "\(port)"]
        if isSecure {
            let made = try await Command.run(
                [
                    "/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", directory + "/key.pem", "-out",
                    directory + "/cert.pem", "-subj", "/CN=test", "-days", "2",
                ], seconds: 120)
            try #require(made.status == 0, "\(made.errors)")
            arguments += [directory + "/cert.pem", directory + "/key.pem"]
        }
        let listener = try Background(["/bin/sh", "-c", "sleep 3600 | exec \"$@\"", "sh"] + arguments, in: directory)
        defer { listener.end() }
        let bound = Int(try await listener.line())
        try #require(bound != nil || port != 0, "\(listener.output)")
        try await body(bound ?? 0)
    }

    @Test func anAllowedHostIsReachedByItsNameAndNothingElseIs() async throws {
        try await listening { port in
            try await listening(443, isSecure: true) { secure in
                let list = ["--egress", "localhost", "--egress", "allowed.invalid:\(port)", "--egress-private", "\(HostsName.name):\(port)"]
                try await with(list + ["--egress-private", HostsName.name]) { rig in
                    // No setting, no proxy: the name is looked up and connected to as anywhere.
                    let addresses = try await rig.call("resolve", ["name": HostsName.name]).answer as? [String]
                    #expect(addresses?.count == 1 && addresses?.first?.hasPrefix("198.18.") == true, "\(addresses ?? [])")
                    #expect(try await rig.fetch(HostsName.name, port).answer == "hello: ping")
                    let large = String(repeating: "x", count: 60_000)
                    #expect(try await rig.fetch(HostsName.name, port, ["text": large]).answer?.hasPrefix("hello: xxx") == true)
                    // On 443 by TLS, with the name that was connected to.
                    if secure == 443 { #expect(try await rig.fetch(HostsName.name, 443, ["tls": true]).answer == "hello: ping") }

                    let foreign = try await rig.fetch(HostsName.name, 443, ["tls": true, "name": "other.invalid"])
                    #expect(foreign.answer == nil && foreign.error?.contains("reset") == true, "\(foreign)")
                    let plain = try await rig.fetch(HostsName.name, 443)
                    #expect(plain.answer == nil && plain.error?.contains("reset") == true, "\(plain)")
                    let unknown = try await rig.fetch("other.invalid", port)
                    #expect(unknown.error?.hasPrefix("gaierror") == true, "\(unknown)")
                    let literal = try await rig.fetch("1.1.1.1", port)
                    #expect(literal.error?.contains("reset") == true, "\(literal)")
                    let closed = try await rig.fetch(HostsName.name, port == 9 ? 10 : 9)
                    #expect(closed.error?.hasPrefix("ConnectionRefusedError") == true, "\(closed)")
                    let unresolved = try await rig.fetch("allowed.invalid", port)
                    #expect(unresolved.error?.contains("reset") == true, "\(unresolved)")

                    for (host, at, reason) in [
                        ("other.invalid", 443, "wrong_name"), (HostsName.name, 443, "no_tls_name"), ("other.invalid", 0, "not_allowed"),
                        ("1.1.1.1", port, "literal"), ("allowed.invalid", port, "unresolved"),
                    ] { _ = try await rig.counted(host, at, reason) }
                    _ = try await rig.fetch("other.invalid", port)
                    let again = await eventually { (try? await rig.counted("other.invalid", 0, "not_allowed"))?["count"] as? Int ?? 0 >= 2 }
                    #expect(again, "\(rig.berth.log)")
                    let row = try await rig.counted("other.invalid", 0, "not_allowed")
                    #expect(row["option"] as? String == "--egress other.invalid", "\(row)")
                    let log = try await rig.berth.run(["logs", "out"]).output
                    #expect(log.contains("egress refused: other.invalid is not on the list; to allow it along with the others: --egress other.invalid"), "\(log)")
                    let show = try await rig.berth.run(["connector", "show", "out"]).output
                    #expect(show.contains("REFUSED") && show.contains("1.1.1.1:\(port)"), "\(show)")
                    let reached = try await rig.berth.json(["connector", "show", "out"])["egress_reached"] as? [[String: Any]] ?? []
                    let own = reached.first { $0["host"] as? String == HostsName.name && $0["port"] as? Int == port }
                    #expect(own?["count"] as? Int == 2 && show.contains("REACHED"), "\(reached)")
                }
            }
        }
    }

    /// The orchestrator has the relay: it dies, and the machine finds its successor's in the same place.
    @Test func theWayOutSurvivesTheOrchestrator() async throws {
        try await listening { port in
            try await with(["--egress-private", "\(HostsName.name):\(port)"]) { rig in
                #expect(try await rig.fetch(HostsName.name, port).answer == "hello: ping")
                let before = try await rig.berth.machine()
                let old = try rig.berth.pid(of: "orchestrator")
                kill(old, SIGKILL)
                let isBack = await eventually {
                    guard let new = try? rig.berth.pid(of: "orchestrator"), new != old else { return false }
                    return (try? await rig.berth.machine()) != nil
                }
                #expect(isBack, "\(rig.berth.log)")
                let isThere = await eventually { (try? await rig.fetch(HostsName.name, port).answer) == "hello: ping" }
                #expect(isThere, "\(rig.berth.log)")
                #expect(try await rig.berth.machine() == before, "the same machine, in the same boot")
            }
        }
    }

    /// No list at all: nothing is reached, and what was looked up is told all the same, with the option that would allow it.
    @Test func withoutAListNamesAreTold() async throws {
        try await with([]) { (rig) async throws in
            for _ in 1...2 { #expect(try await rig.fetch("api.example.com", 443).error?.hasPrefix("gaierror") == true) }
            for address in ["1.1.1.1", "198.18.0.1", "10.0.0.1", "::ffff:1.1.1.1", "2606:4700::1111"] {
                let literal = try await rig.fetch("x", 443, ["address": address])
                #expect(literal.error?.contains("unreachable") == true, "no route: \(literal)")
            }
            let counted = await eventually { (try? await rig.counted("api.example.com", 0, "not_allowed"))?["count"] as? Int ?? 0 >= 2 }
            #expect(counted, "\(rig.berth.log)")
            let row = try await rig.counted("api.example.com", 0, "not_allowed")
            #expect(row["option"] as? String == "--egress api.example.com", "\(row)")
            let log = try await rig.berth.run(["logs", "out"]).output
            #expect(log.contains("api.example.com is not on the list") && log.contains("--egress api.example.com"), "\(log)")

            // Counts are the connector's: they outlive the orchestrator, and the machine.
            let before = row["count"] as? Int ?? 0
            let old = try rig.berth.pid(of: "orchestrator")
            kill(old, SIGKILL)
            let isBack = await eventually {
                guard let new = try? rig.berth.pid(of: "orchestrator"), new != old else { return false }
                return (try? await rig.refusals()) != nil
            }
            #expect(isBack, "\(rig.berth.log)")
            #expect(try await rig.counted("api.example.com", 0, "not_allowed")["count"] as? Int == before)
            #expect(try await rig.fetch("api.example.com", 443).error?.hasPrefix("gaierror") == true)
            let goesOn = await eventually { (try? await rig.counted("api.example.com", 0, "not_allowed"))?["count"] as? Int ?? 0 > before }
            #expect(goesOn, "the same machine tells the next orchestrator: \(rig.berth.log)")
            try await rig.berth.json(["machines", "destroy", "out", "--force"])
            #expect(try await rig.counted("api.example.com", 0, "not_allowed")["count"] as? Int ?? 0 > before)
        }
    }

    /// It has no sockets of the network's kinds, and nothing to tell.
    @Test func anUntrustedServerWithoutAListAsksForNothing() async throws {
        try await with(["--profile", "untrusted"]) { (rig) async throws in
            #expect(try await rig.fetch("api.example.com", 443).answer == nil)
            let literal = try await rig.fetch("x", 443, ["address": "1.1.1.1"])
            #expect(literal.answer == nil && literal.error?.contains("unreachable") == false, "the filter refuses the socket itself: \(literal)")
            #expect(try await rig.refusals().isEmpty)
        }
    }

    @Test func aListIsChangedAndTakenAway() async throws {
        try await listening { port in
            try await with([]) { rig in
                let none = try await rig.fetch(HostsName.name, port)
                #expect(none.error?.hasPrefix("gaierror") == true, "no network at all: \(none)")
                // An exception is made with a warning.
                let update = try await rig.berth.run(["connector", "update", "out", "--egress-private", "\(HostsName.name):\(port)"])
                #expect(update.status == 0 && update.errors.contains("warning: \(HostsName.name):\(port)"), "\(update)")
                #expect(try await rig.fetch(HostsName.name, port).answer == "hello: ping")
                try await rig.berth.json(["connector", "update", "out", "--egress", "\(HostsName.name):\(port)", "--egress-private", "db.invalid"])
                let global = try await rig.fetch(HostsName.name, port)
                #expect(global.error?.contains("reset") == true, "without the exception its address is refused: \(global)")
                let row = try await rig.counted(HostsName.name, port, "not_global")
                #expect(row["option"] as? String == "--egress-private \(HostsName.name):\(port)")
                try await rig.berth.json(["connector", "update", "out", "--no-egress"])
                #expect(try await rig.fetch(HostsName.name, port).error?.hasPrefix("gaierror") == true)
                // What was counted stays: it is the connector's, and not a machine's.
                #expect(try await rig.counted(HostsName.name, port, "not_global")["count"] as? Int ?? 0 >= 1)
                for (options, words) in [
                    (["--egress", "https://api.example.com/"], "--egress: 'https://api.example.com/'"), (["--egress", "10.0.0.1"], "only names"),
                    (["--egress-private", "*.example.com"], "--egress-private: "), (["--egress", "a.example", "--no-egress"], "exclude each other"),
                ] {
                    let bad = try await rig.berth.run(["connector", "update", "out"] + options)
                    #expect(bad.status == 64 && bad.errors.contains(words), "\(options): \(bad)")
                }
            }
        }
    }
}

/// Resolves on this host, and not in the machine's own /etc/hosts.
private enum HostsName {
    static let name = ProcessInfo.processInfo.hostName.lowercased()
    static let isUsable: Bool = {
        var list: UnsafeMutablePointer<addrinfo>?
        guard name != "localhost", getaddrinfo(name, nil, nil, &list) == 0 else { return false }
        freeaddrinfo(list)
        return true
    }()
}
