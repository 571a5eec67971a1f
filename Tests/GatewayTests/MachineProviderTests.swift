import Foundation
import MachineAPI
import TestSupport
import Testing

@testable import Gateway

/// Which machine serves a connector, and what wakes it.
struct MachineProviderTests {
    private func withConnector(_ body: (ProvisioningFixture, Connector) async throws -> Void) async throws {
        let fixture = try ProvisioningFixture()
        try await fixture.add()
        let connector = try #require(try await fixture.record()?.connector)
        try await body(fixture, connector)
    }

    private func set(_ fixture: ProvisioningFixture, _ change: @Sendable (inout Machine) -> Void) {
        fixture.machines.state.withLockedValue { state in for index in state.machines.indices { change(&state.machines[index]) } }
    }

    @Test func aSuspendedMachineIsWaked() async throws {
        try await withConnector { fixture, connector in
            let before = try await fixture.plane.readyMachine(for: connector)
            for state in [MachineState.suspended, .suspending] {
                set(fixture) { $0.state = state }
                #expect(try await fixture.plane.refresh(machine: before.machine, of: connector) == before)
                set(fixture) { $0.state = state }
                #expect(try await fixture.plane.readyMachine(for: connector) == before)
            }
            #expect(fixture.machines.story.filter { $0 == "start \(before.machine)" }.count == 4)
            set(fixture) { $0.state = .stopped }
            #expect(try await fixture.plane.refresh(machine: before.machine, of: connector) == nil, "a stopped one is another boot's matter")
        }
    }

    @Test func aCordonedMachineServesItsOwnAndNobodyNew() async throws {
        try await withConnector { fixture, connector in
            let before = try await fixture.plane.readyMachine(for: connector)
            set(fixture) { $0.cordoned = true }
            #expect(try await fixture.plane.refresh(machine: before.machine, of: connector) == before)
            await #expect(throws: PinSearch.NotFound.self) { _ = try await fixture.plane.readyMachine(for: connector) }
            set(fixture) { $0.cordoned = nil }
            #expect(try await fixture.plane.readyMachine(for: connector) == before)
        }
    }

    @Test func aHostWithoutRoomIsAskedOnceASecondHoweverManyCallsWantAMachine() async throws {
        try await withConnector { fixture, connector in
            let full = MachineAPIError(
                status: 503, code: "insufficient_capacity", message: "64 MiB more would pass …", reason: "memory_budget", retryAfterSeconds: 7)
            fixture.machines.state.withLockedValue { state in
                state.startError = full
                state.startsAsked = 0
            }
            set(fixture) { $0.state = .stopped }
            let begin = ContinuousClock.now
            for _ in 0..<200 { await #expect(throws: full) { _ = try await fixture.plane.readyMachine(for: connector) } }
            let seconds = begin.duration(to: .now) / .seconds(1)
            let asked = fixture.machines.state.withLockedValue { $0.startsAsked }
            #expect(asked >= 1 && Double(asked) <= seconds + 1)
            fixture.machines.state.withLockedValue { $0.startError = nil }
            #expect(await eventually { (try? await fixture.plane.readyMachine(for: connector)) != nil })
        }
    }

    @Test func callersHearOfTheHostsRoomAndOfNothingElseThatTheOrchestratorSays() {
        let full = NoMachine(
            explaining: MachineAPIError(status: 503, code: "insufficient_capacity", message: "secret", reason: "host_memory", retryAfterSeconds: 7))
        #expect(full.code == "host_memory" && full.retryAfterSeconds == 7 && full.text.contains("try again in 7 s") && !full.text.contains("secret"))
        let short = NoMachine(explaining: MachineAPIError(status: 503, code: "not_started", message: "machine x is failed: oom_killed: …"))
        #expect(short.code == "oom_killed" && short.text.contains("--memory") && !short.text.contains("machine x"))
        #expect(NoMachine(explaining: MachineAPIError(status: 409, code: "insufficient_capacity", message: "secret")) == "no machine could be started")
        #expect(NoMachine(explaining: PinSearch.NotFound(reason: "the connector was removed")) == "the connector was removed")
    }
}
