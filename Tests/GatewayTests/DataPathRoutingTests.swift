import Door
import Gateway
import JSONText
import NIOCore
import Sealing
import Testing
import TestSupport

@Suite("data path: routing")
struct DataPathRoutingTests {
    private func restarted(_ answer: DataPathFixture.Answer) -> Bool { answer.result?["_meta"]?["berth/restarted"] == .bool(true) }

    @Test func aLostMachineIsReplacedOnceAndTold() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            #expect(!restarted(try await fixture.call("echo")))
            await fixture.door.stop()
            let second = try await fixture.boot("boot2")
            fixture.support.state.withLockedValue { $0.machines["time"] = second.address }

            let answer = try await fixture.call("echo")
            #expect(answer.content == "boot2" && restarted(answer))
            let row = try #require(fixture.calls().last)
            #expect(fixture.calls().count == 2 && row.outcome == .allowed && row.boot == "boot2" && row.reason == "repinned")
            #expect(fixture.support.state.withLockedValue { $0.pins.values.map(\.epoch) } == [2])

            let next = try await fixture.call("echo")
            #expect(next.content == "boot2" && !restarted(next) && fixture.calls().last?.reason.isEmpty == true)
            await second.stop()
        }
    }

    @Test func theOrchestratorMayLagBehind() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            _ = try await fixture.call("echo")
            await fixture.door.stop()
            let second = try await fixture.boot("boot2")
            let call = Task { try await fixture.call("echo") }
            // It names the dead boot a few times more.
            let before = fixture.support.state.withLockedValue { $0.starts }
            #expect(await eventually { fixture.support.state.withLockedValue { $0.starts } > before + 1 })
            fixture.support.state.withLockedValue { $0.machines["time"] = second.address }
            #expect(try await call.value.content == "boot2")
            await second.stop()
        }
    }

    @Test func anotherBootBehindTheSameDoorIsALoss() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            // Its socket answers, with the keys of another boot.
            let impostor = try await fixture.boot("boot9", keysOf: "boot8")
            fixture.support.state.withLockedValue { $0.machines["time"] = impostor.address }
            let call = Task { try await fixture.call("echo") }
            #expect(await eventually { !impostor.state.withLockedValue { $0.refusals }.isEmpty })
            fixture.support.state.withLockedValue { $0.machines["time"] = fixture.door.address }
            #expect(try await call.value.content == "boot1")
            #expect(impostor.calls.isEmpty && fixture.calls().count == 1)
            await impostor.stop()
        }
    }

    @Test func aDrainingMachineIsLeft() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            _ = try await fixture.call("echo")
            let second = try await fixture.boot("boot2", machine: "fedcba98765432")
            fixture.support.state.withLockedValue { $0.machines["time"] = second.address }
            #expect(try await fixture.call("echo").content == "boot1", "a pin holds")
            fixture.door.state.withLockedValue { $0.isDraining = true }
            let answer = try await fixture.call("echo")
            #expect(answer.content == "boot2" && restarted(answer))
            #expect(fixture.calls().last?.machine == "fedcba98765432")
            await second.stop()
        }
    }

    @Test func whatMayHaveRunIsNeverRepeated() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            _ = try await fixture.call("echo")
            let second = try await fixture.boot("boot2")
            fixture.support.state.withLockedValue { $0.machines["time"] = second.address }
            let answer = try await fixture.call("dies")
            #expect(answer.errorCode == 1002 && answer.json["error"]?["data"]?["error"]?.stringValue == "outcome_unknown")
            #expect(fixture.door.calls(of: "dies") == 1 && second.calls.isEmpty)
            // The next call asks first, and moves.
            let next = try await fixture.call("echo")
            #expect(next.content == "boot2" && restarted(next))
            #expect(fixture.calls().map(\.outcome) == [.allowed, .unknown, .allowed])
            await second.stop()
        }
    }

    @Test func aSuspectThatStillRunsIsKept() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            _ = try await fixture.call("dies")
            let next = try await fixture.call("echo")
            #expect(next.content == "boot1" && !restarted(next))
            #expect(fixture.support.state.withLockedValue { $0.refreshes } == 1)
        }
    }

    @Test func noMachineIsNotDelivered() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            fixture.support.state.withLockedValue { $0.machines = [:] }
            let answer = try await fixture.call("echo")
            #expect(answer.errorCode == 1001 && answer.message == "no machine could be started")
            fixture.support.state.withLockedValue { $0.machines["time"] = fixture.door.address }
            #expect(try await fixture.call("echo").content == "boot1")
            #expect(fixture.calls().map(\.outcome) == [.error, .allowed])
        }
    }

    @Test func aChangedConnectorMovesItsPins() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            _ = try await fixture.call("echo")
            try fixture.publish(generation: 2)
            let same = try await fixture.call("echo")
            #expect(same.content == "boot1" && !restarted(same))
            let second = try await fixture.boot("boot2", machine: "fedcba98765432")
            fixture.support.state.withLockedValue { $0.machines["time"] = second.address }
            try fixture.publish(generation: 3)
            let moved = try await fixture.call("echo")
            #expect(moved.content == "boot2" && restarted(moved))
            await second.stop()
        }
    }

    /// Servers quote keys in their errors, and a row cannot be taken back.
    @Test func aServersErrorPutsNoSecretIntoTheLog() async throws {
        try await DataPathFixture.with(secretNames: ["API_KEY"]) { (fixture) async throws in
            let key = try HMACKey(Secret([UInt8](repeating: 3, count: 32)))
            let credentials = try CredentialSet(environment: ["API_KEY": "says no"], fingerprintKey: key)
            fixture.support.state.withLockedValue { $0.credentials["time"] = credentials }
            #expect(try await fixture.call("error").message == "upstream says no")
            #expect(fixture.calls().first?.reason == "upstream [redacted]")
        }
    }

    @Test func credentialsArePutWhenTheMachineAsks() async throws {
        try await DataPathFixture.with(secretNames: ["API_KEY"]) { (fixture) async throws in
            let key = try HMACKey(Secret([UInt8](repeating: 3, count: 32)))
            let credentials = try CredentialSet(environment: ["API_KEY": "s3cr3t-value"], fingerprintKey: key)
            fixture.support.state.withLockedValue { $0.credentials["time"] = credentials }
            fixture.door.state.withLockedValue { $0.needsCredentials = true }
            #expect(try await fixture.call("echo", arguments: #"{"note":"s3cr3t-value"}"#).content == "boot1")
            #expect(fixture.door.state.withLockedValue { $0.vault.values.first } == credentials)
            #expect(fixture.door.state.withLockedValue { $0.seen.map(\.path) } == ["/mcp", "/credentials", "/mcp"])
            #expect(fixture.calls().count == 1)
            #expect(fixture.calls().first?.arguments?.text.contains("s3cr3t") == false)
            _ = try await fixture.call("echo")
            #expect(fixture.door.calls.count == 3 && fixture.support.state.withLockedValue { $0.credentialReads } == 1)
            #expect(fixture.door.calls.allSatisfy { $0.fingerprint == credentials.fingerprint })

            // A machine that never has enough does not hold a call for ever.
            fixture.door.state.withLockedValue { $0.vault = [:] }
            #expect(try await fixture.call("echo").content == "boot1")

            let other = try CredentialSet(environment: ["API_KEY": "another-value"], fingerprintKey: key)
            fixture.support.state.withLockedValue { $0.credentials["time"] = other }
            try fixture.publish(secretNames: ["API_KEY"], generation: 2)
            #expect(try await fixture.call("echo").content == "boot1")
            #expect(fixture.door.calls.last?.fingerprint == other.fingerprint)
        }
    }

    @Test func theProbeSpeaksAsACallDoes() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let connector = try #require(try DataPathFixture.directory().connectors["time"])
            let result = try await fixture.path.probe(fixture.door.address, of: connector, credentials: nil)
            #expect(result.toolCount == 2 && result.seconds > 0)
            #expect(try JSONValue(parsing: Array(result.toolsListResult.readableBytesView))["tools"]?[1]?["name"]?.stringValue == "slow")
            #expect(fixture.calls().isEmpty)
            #expect(await eventually { fixture.door.state.withLockedValue { $0.seen.contains { $0.path.hasPrefix("/sessions/probe-") } } })
            let stats = try await fixture.path.ask(.stats, of: fixture.door.address, app: "app-time")
            #expect(stats.status == 200)

            fixture.door.state.withLockedValue { $0.isDraining = true }
            let failure = await #expect(throws: ProbeFailure.self) {
                try await fixture.path.probe(fixture.door.address, of: connector, credentials: nil)
            }
            #expect(failure?.error == "start_failed" && failure?.stderr == nil)
        }
    }
}
