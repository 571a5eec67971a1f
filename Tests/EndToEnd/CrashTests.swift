import Foundation
import TestSupport
import Testing

/// The orchestrator is killed at every failpoint and at random moments of real work; afterwards nothing is orphaned and
/// everything works. `SEED=n` repeats a run of the random part.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct CrashTests {
    @Test func nothingIsOrphanedWhereverItDies() async throws {
        try await Berth.run { berth in
            let started = try await berth.up()
            let api = MachinesAPI(
                url: try #require(started["machines_url"] as? String), token: try #require(started["machines_token"] as? String))
            // With all that a machine may have on the host.
            try await berth.add("fixture", fixture: "fixture.py", ["--egress", "api.example.com"])
            let app = try await api.onlyApp()
            let model = try #require(try await api.machines(app).first)
            let config = try #require(model["config"] as? [String: Any])

            let seed = ProcessInfo.processInfo.environment["BERTH_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 1...1_000_000)
            var random = SplitMix(state: seed)
            let rounds = 50
            for round in 0..<rounds {
                await disturb(api, app, config, round, &random)
                let milliseconds = Int(random.next() % 250)
                try await Task.sleep(for: .milliseconds(milliseconds))
                if let pid = try? berth.pid(of: "orchestrator") { kill(pid, SIGKILL) }
                let back = await eventually { (try? await api.machines(app)) != nil }
                #expect(back, "seed \(seed), round \(round): the orchestrator is back: \(berth.log)")
            }

            // What the rows say is what there is: all extra machines go, the first one serves.
            for machine in try await api.machines(app) where machine["id"] as? String != model["id"] as? String {
                try await api.send("DELETE", "/v1/apps/\(app)/machines/\(machine["id"] as? String ?? "")?force=true")
            }
            // It may stand still, or have been stopped.
            let start = "/v1/apps/\(app)/machines/\(model["id"] as? String ?? "")/start"
            let isAsked = await eventually { (try? await api.send("POST", start)) != nil }
            #expect(isAsked)
            let settled = await eventually {
                guard let machines = try? await api.machines(app), machines.count == 1, machines[0]["state"] as? String == "started" else { return false }
                return (try? await berth.run(["doctor", "--leftovers", "--json"]))?.status == 0
            }
            let left = try await berth.run(["doctor", "--leftovers", "--json"])
            let machines = try await api.machines(app).map { "\($0["id"] ?? "") \($0["state"] ?? "")" }
            #expect(settled, "seed \(seed): \(machines) \(left.output) \(berth.log)")
            try await berth.json(["vmcp", "create", "office", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let answers = await eventually {
                (try? await RawClient(url: alice.url, token: alice.token).call("echo", ["text": "alive"], seconds: 20))?.text == "alive"
            }
            #expect(answers, "\(berth.log)")
        }
    }

    /// Each failpoint ends the orchestrator once, in the middle of making or removing a machine.
    @Test(arguments: [
        "row", "create.before-bundle", "bundle", "create", "start", "ready", "remove", "create.after-mount",
        "create.after-runtime", "start.before", "start.after", "remove.after-kill", "remove.after-runtime", "remove.after-cgroups",
    ])
    func failpoint(_ name: String) async throws {
        try await Berth.run { berth in
            // The first start builds the image without the failpoint; the second has it, and dies of it until it is gone.
            try await berth.up()
            // With all that a machine may have on the host.
            try await berth.add("fixture", fixture: "fixture.py", ["--egress", "api.example.com"])
            let before = try await berth.run(["down"])
            #expect(before.status == 0)
            let up = try await berth.run(
                ["up", "--listen", "127.0.0.1:\(berth.port)", "--detach", "--json"], environment: ["BERTH_FAILPOINT": name], seconds: 120)
            // It starts the machine (row … ready), then removes it (remove …).
            if up.status == 0 && name.hasPrefix("remove") { _ = try await berth.run(["connector", "remove", "fixture"], seconds: 120) }
            // Dead by its own hand at that point, and not by ours below: a name that nobody comes by proves nothing.
            let died = await eventually {
                let log = berth.wholeLog
                return log.contains("failpoint \(name)\n") && log.contains("orchestrator ended (signal 9)")
            }
            #expect(died, "\(name): \(berth.log)")
            for process in ["supervise", "orchestrator", "gateway"] { if let pid = try? berth.pid(of: process) { kill(pid, SIGKILL) } }
            _ = await eventually { (try? berth.pid(of: "orchestrator")) == nil && (try? berth.pid(of: "gateway")) == nil }
            try await berth.up()
            let clean = await eventually { (try? await berth.run(["doctor", "--leftovers", "--json"]))?.status == 0 }
            let left = try await berth.run(["doctor", "--leftovers"])
            #expect(clean, "\(name): \(left.output)")
        }
    }

    /// Starts one piece of work and does not wait for it.
    private func disturb(_ api: MachinesAPI, _ app: String, _ config: [String: Any], _ round: Int, _ random: inout SplitMix) async {
        let choice = random.next() % 8
        let machines = (try? await api.machines(app)) ?? []
        let id = machines.isEmpty ? "" : machines[Int(random.next() % UInt64(machines.count))]["id"] as? String ?? ""
        let body = try? JSONSerialization.data(withJSONObject: ["name": "extra-\(round)", "config": config])
        let requests: [(String, String, Data?)] = [
            ("POST", "/v1/apps/\(app)/machines", body), ("POST", "/v1/apps/\(app)/machines/\(id)/restart", nil),
            ("POST", "/v1/apps/\(app)/machines", body), ("DELETE", "/v1/apps/\(app)/machines/\(id)?force=true", nil),
            ("POST", "/v1/apps/\(app)/machines/\(id)/suspend", nil), ("POST", "/v1/apps/\(app)/machines/\(id)/suspend", nil),
            ("POST", "/v1/apps/\(app)/machines/\(id)/start", nil), ("POST", "/v1/apps/\(app)/machines/\(id)/stop", nil),
        ]
        let (method, path, data) = requests[Int(choice)]
        // The first machine stays: it is the one that must serve at the end.
        if method == "DELETE" && machines.count < 3 { return }
        if method == "DELETE", machines.last?["id"] as? String != id, machines.first?["id"] as? String == id { return }
        Task { _ = try? await api.send(method, path, data) }
    }
}

/// The Machines API over its loopback listener.
struct MachinesAPI: Sendable {
    let url: String
    let token: String

    func onlyApp() async throws -> String {
        let apps = try await send("GET", "/v1/apps?org_slug=all")["apps"] as? [[String: Any]] ?? []
        guard apps.count == 1, let name = apps[0]["name"] as? String else { throw Trouble("apps: \(apps)") }
        return name
    }

    func machines(_ app: String) async throws -> [[String: Any]] {
        let answer = try await send("GET", "/v1/apps/\(app)/machines")
        return answer["array"] as? [[String: Any]] ?? []
    }

    @discardableResult
    func send(_ method: String, _ path: String, _ body: Data? = nil) async throws -> [String: Any] {
        var lines = ["url = \"\(url)\(path)\"", "request = \(method)", "silent", "fail", "max-time = 20", "header = \"Authorization: Bearer \(token)\""]
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("berth-machines-\(UUID().uuidString)")
        if let body {
            try body.write(to: file)
            lines += ["header = \"Content-Type: application/json\"", "data-binary = \"@\(file.path)\""]
        }
        defer { try? FileManager.default.removeItem(at: file) }
        let result = try await Command.run(["/usr/bin/curl", "--config", "-"], input: lines.joined(separator: "\n"), seconds: 120)
        guard result.status == 0 else { throw Trouble("curl \(result.status) \(method) \(path)") }
        let value = try? JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return value as? [String: Any] ?? ["array": value as Any]
    }
}
