import Foundation
import TestSupport
import Testing

/// `berth machines …`: an operator at one machine of a connector in use.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct MachineCommandTests {
    private func pid(_ client: RawClient, _ berth: Berth) async throws -> Int {
        let answer = try await client.call("identity")
        let text = try #require(answer.text, "\(answer.json) \(berth.log)")
        let told = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        return try #require(told?["pid"] as? Int)
    }

    private func ready(_ berth: Berth) async throws -> RawClient {
        try await berth.up()
        try await berth.add("fixture", fixture: "fixture.py")
        try await berth.json(["vmcp", "create", "office", "fixture"])
        let alice = try await berth.token(for: "alice", vmcp: "office")
        return RawClient(url: alice.url, token: alice.token)
    }

    private func state(_ berth: Berth) async throws -> String {
        let machines = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        return machines.map { "\($0["state"] ?? "")" }.joined(separator: " ")
    }

    /// A session's process is the same before and after, and its caller is told of nothing.
    @Test func aSuspendedMachineWakesWithTheNextCall() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth)
            let first = try await pid(client, berth)
            let before = try await berth.machine()
            let suspended = try await berth.json(["machines", "suspend", "fixture"])
            #expect(suspended["state"] as? String == "suspended" && suspended["id"] as? String == before.machine)
            let answer = try await client.call("echo", ["text": "wake"], seconds: 60)
            #expect(answer.text == "wake", "\(answer.json) \(berth.log)")
            let meta = (answer.json["result"] as? [String: Any])?["_meta"] as? [String: Any]
            #expect(meta?["berth/restarted"] == nil, "\(answer.json)")
            #expect(try await berth.machine() == before)
            #expect(try await pid(client, berth) == first)

            // Frozen across both processes' deaths.
            try await berth.json(["machines", "suspend", String(before.machine.prefix(6))])
            for name in ["orchestrator", "gateway"] { kill(try berth.pid(of: name), SIGKILL) }
            let isBack = await eventually { (try? await state(berth)) == "suspended" }
            #expect(isBack, "\(berth.log)")
            let woken = await eventually { (try? await client.call("echo", ["text": "again"], seconds: 30))?.text == "again" }
            #expect(woken, "\(berth.log)")
            #expect(try await pid(client, berth) == first)
            #expect(try await berth.machine() == before)

            // A busy one serves its caller first.
            async let slow = client.call("wait", ["seconds": 2], seconds: 60)
            let isBusy = await eventually {
                guard let machine = try? await berth.run(["machines", "suspend", before.machine, "--json"]) else { return false }
                return machine.status == 0
            }
            let served = try await slow.status
            #expect(isBusy && served == 200)
            #expect(try await client.call("echo", ["text": "last"], seconds: 60).text == "last")
            // `down` finds it standing still.
            try await berth.json(["machines", "suspend", "fixture"])
        }
    }

    @Test func verbsEventsAndLogs() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth)
            #expect(try await client.call("echo", ["text": "a"]).text == "a")
            let first = try await berth.machine()
            let restarted = try await berth.run(["machines", "restart", "fixture"])
            #expect(restarted.status == 0 && restarted.output == "restarted \(first.machine) (fixture)\n", "\(restarted)")
            #expect(try await berth.machine().boot != first.boot)
            #expect(try await berth.json(["machines", "stop", first.machine, "--timeout", "20"])["state"] as? String == "stopped")
            let refused = try await berth.run(["machines", "suspend", "fixture"])
            #expect(refused.errors.contains("unable to suspend machine from current state: 'stopped'"), "\(refused)")
            #expect(try await berth.json(["machines", "start", "fixture"])["state"] as? String == "started")

            let events = try await berth.json(["machines", "events", "fixture"])["events"] as? [[String: Any]] ?? []
            let told = events.map { "\($0["type"] ?? "")/\($0["status"] ?? "")" }
            #expect(told.first == "start/started" && told.contains("restart/stopping") && told.last == "launch/created", "\(told)")
            let logs = try await berth.json(["machines", "logs", first.machine])
            #expect((logs["log"] as? String)?.contains("serving machine \(first.machine)") == true)
            let list = try await berth.run(["machines", "list"])
            #expect(list.output.contains("SINCE") && list.output.contains("fixture"), "\(list.output)")

            #expect(try await client.call("echo", ["text": "pinned"]).text == "pinned")
            let cordoned = try await berth.run(["machines", "cordon", "fixture"])
            #expect(cordoned.output == "cordoned \(first.machine) (fixture)\n", "\(cordoned)")
            #expect(try await berth.run(["machines", "list"]).output.contains("started, cordoned"))
            #expect(try await client.call("echo", ["text": "kept"]).text == "kept", "the session stays")
            #expect(try await berth.json(["machines", "uncordon", first.machine])["cordoned"] == nil)

            // Since the present state, not since the last change of the row.
            func since() async throws -> String {
                let machines = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
                return (machines.first?["berth"] as? [String: Any])?["since"] as? String ?? ""
            }
            let before = try await since()
            kill(try berth.pid(of: "orchestrator"), SIGKILL)
            let isBack = await eventually { (try? await since()) == before }
            #expect(isBack && !before.isEmpty)
        }
    }

    @Test func destroyingAndNaming() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth)
            let first = try await berth.machine()
            for (word, what) in [("nothing", "there are \(first.machine) (fixture, started)"), ("fixtur", "did you mean 'fixture'?")] {
                let unknown = try await berth.run(["machines", "stop", word])
                #expect(unknown.status == 64 && unknown.errors.contains(what), "\(unknown.errors)")
            }
            let refused = try await berth.run(["machines", "destroy", "fixture"])
            #expect(refused.status == 1 && refused.errors.contains("--force"), "\(refused)")
            #expect(try await berth.machine() == first)
            let destroyed = try await berth.run(["machines", "destroy", first.machine, "--force"])
            #expect(
                destroyed.output.hasPrefix("destroyed \(first.machine) (fixture): the next call of fixture makes a new machine"), "\(destroyed)")
            let history = try await berth.json(["machines", "events", first.machine])["events"] as? [[String: Any]] ?? []
            #expect(history.first?["status"] as? String == "destroyed")
            #expect(try await client.call("echo", ["text": "b"], seconds: 90).text == "b", "\(berth.log)")
            #expect(try await berth.machine().machine != first.machine)
        }
    }
}
