import MachineAPI
import Testing

@testable import Gateway

@Suite("connectors: remove")
struct ConnectorRemovalTests {
    let fixture: ProvisioningFixture

    init() throws { fixture = try ProvisioningFixture() }

    @Test func noVirtualMCPTakesWhatIsBeingRemoved() async throws {
        try await fixture.add()
        let refused = Locked<[String]>([])
        let plane = fixture.plane
        fixture.machines.onDelete.withLockedValue { hook in
            hook = {
                do {
                    try await plane.putVirtualMCP("office", connectors: ["mine"], replacing: false)
                } catch {
                    refused.withLockedValue { $0.append((error as? ProvisioningFailure)?.error ?? "\(error)") }
                }
            }
        }
        try await fixture.plane.removeConnector("mine")
        #expect(refused.withLockedValue { $0 } == ["not_ready"])
        #expect(try await fixture.record() == nil)
        #expect(try await fixture.plane.virtualMCPs().isEmpty)
    }

    /// The plane's own look comes before the transaction; the transaction decides.
    @Test func theTransactionLooksForItself() async throws {
        try await fixture.add()
        #expect(try await fixture.plane.connectors.beginRemoval("mine").isEmpty)
        await #expect(throws: ConnectorNotReady.self) {
            try await fixture.plane.connectors.put(virtualMCP: "office", connectors: ["mine"], replacing: false, at: 1)
        }
        #expect(try await fixture.count("virtualMCPs") == 0)
    }

    @Test func aVirtualMCPHoldsItsConnectors() async throws {
        try await fixture.add()
        try await fixture.plane.putVirtualMCP("office", connectors: ["mine"], replacing: false)
        let failure = await #expect(throws: ProvisioningFailure.self) { try await fixture.plane.removeConnector("mine") }
        #expect(failure?.error == "in_use")
        #expect(try await fixture.record()?.state == .ready)
    }

    /// Not only then: `ConnectorCleanUpTests`.
    @Test func whatFailsHalfWayIsFinishedAtTheNextStart() async throws {
        try await fixture.add()
        fixture.machines.state.withLockedValue { $0.deletesFail = true }
        let failure = await #expect(throws: ProvisioningFailure.self) { try await fixture.plane.removeConnector("mine") }
        #expect(failure?.error == "internal" && failure?.message == "no")
        #expect(try await fixture.record()?.state == .removing)
        let update = await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true)
        #expect(update?.error == "not_ready" && update?.message == "the connector mine is being removed")
        fixture.machines.state.withLockedValue { $0.deletesFail = false }
        try await fixture.plane.start()
        // The start's own attempt may meet the one that the failure asked for.
        let deadline = ContinuousClock.now + .seconds(120)
        while try await fixture.record() != nil, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        await fixture.plane.stop()
        #expect(try await fixture.record() == nil)
        #expect(fixture.machines.generations.isEmpty)
        try await fixture.add()
    }
}
