import Foundation
import MachineAPI
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
            let before = try await fixture.plane.readyMachine(for: connector, principal: "ann")
            for state in [MachineState.suspended, .suspending] {
                set(fixture) { $0.state = state }
                #expect(try await fixture.plane.refresh(machine: before.machine, of: connector, principal: "ann") == before)
                set(fixture) { $0.state = state }
                #expect(try await fixture.plane.readyMachine(for: connector, principal: "ann") == before)
            }
            #expect(fixture.machines.story.filter { $0 == "start \(before.machine)" }.count == 4)
            set(fixture) { $0.state = .stopped }
            let stopped = try await fixture.plane.refresh(machine: before.machine, of: connector, principal: "ann")
            #expect(stopped == nil, "a stopped one is another boot's matter")
        }
    }

    @Test func aCordonedMachineServesItsOwnAndNobodyNew() async throws {
        try await withConnector { fixture, connector in
            let before = try await fixture.plane.readyMachine(for: connector, principal: "ann")
            set(fixture) { $0.cordoned = true }
            #expect(try await fixture.plane.refresh(machine: before.machine, of: connector, principal: "ann") == before)
            await #expect(throws: PinSearch.NotFound.self) { _ = try await fixture.plane.readyMachine(for: connector, principal: "ann") }
            set(fixture) { $0.cordoned = nil }
            #expect(try await fixture.plane.readyMachine(for: connector, principal: "ann") == before)
        }
    }
}
