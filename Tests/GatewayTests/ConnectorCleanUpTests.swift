import MachineAPI
import TestSupport
import Testing
import Wire

@testable import Gateway

@Suite("connectors: what fails half-way", .timeLimit(.minutes(5)))
struct ConnectorCleanUpTests {
    let fixture: ProvisioningFixture

    init() throws { fixture = try ProvisioningFixture() }

    private let new = ConnectorRequest(name: "mine", source: ImageSource(upload: "sha256:1", command: ["python3", "server.py"]))

    private func setDeletesFail(_ fail: Bool) { fixture.machines.state.withLockedValue { ($0.deletesFail, $0.destroysFail) = (fail, fail) } }

    private func until(_ what: String, _ holds: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while try await !holds() {
            try #require(ContinuousClock.now < deadline, "\(what)")
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    // MARK: Clean-up

    @Test func anAddThatCouldNotCleanUpIsCleanedUpLater() async throws {
        try await fixture.plane.start()
        fixture.deaf.withLockedValue { $0 = ["mine"] }
        setDeletesFail(true)
        #expect(await fixture.put(new) != nil)
        #expect(try await fixture.record()?.state == .building)
        // Several attempts fail.
        let before = fixture.machines.deletes
        try await until("further attempts") { fixture.machines.deletes > before + 1 }
        #expect(try await fixture.record()?.state == .building)
        setDeletesFail(false)
        try await until("the end of it") { try await fixture.record() == nil }
        #expect(fixture.machines.generations.isEmpty)
        fixture.deaf.withLockedValue { $0 = [] }
        try await until("the name is free") {
            await fixture.put(new) == nil
        }
        await fixture.plane.stop()
    }

    @Test func aRemovalThatFailedIsFinishedLater() async throws {
        try await fixture.plane.start()
        try await fixture.add()
        setDeletesFail(true)
        await #expect(throws: ProvisioningFailure.self) { try await fixture.plane.removeConnector("mine") }
        setDeletesFail(false)
        fixture.forgotten.withLockedValue { $0 = [] }
        try await until("the end of it") { fixture.forgotten.withLockedValue { $0 } == ["mine"] }
        #expect(try await fixture.record() == nil)
        await fixture.plane.stop()
    }

    @Test func anOldMachineThatStayedGoesLater() async throws {
        try await fixture.plane.start()
        try await fixture.add()
        setDeletesFail(true)
        #expect(await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true) == nil)
        #expect(fixture.machines.generations == ["g1", "g2"])
        setDeletesFail(false)
        try await until("the old machine's end") { fixture.machines.generations == ["g2"] }
        await fixture.plane.stop()
    }

    @Test func afterTheEndNothingIsTriedAnyMore() async throws {
        try await fixture.plane.start()
        fixture.deaf.withLockedValue { $0 = ["mine"] }
        setDeletesFail(true)
        _ = await fixture.put(new)
        let before = fixture.machines.deletes
        try await until("further attempts") { fixture.machines.deletes > before + 1 }
        await fixture.plane.stop()
        let deletes = fixture.machines.deletes
        setDeletesFail(false)
        // Time enough for several more: others of the same pauses, begun now, have come further than those had.
        let others = Locked(0)
        let reference = RetriedWork(first: .milliseconds(10))
        reference.start { _ in others.withLockedValue { $0 += 1; return false } }
        reference.ask("mine")
        try await until("the other's attempts") { others.withLockedValue { $0 } > deletes + 1 }
        await reference.stop()
        #expect(fixture.machines.deletes == deletes)
        #expect(try await fixture.record()?.state == .building)
    }

    // MARK: Words

    /// The very name that was asked for is no advice.
    @Test func whatIsNotReadyIsToldByItsState() async throws {
        fixture.deaf.withLockedValue { $0 = ["mine"] }
        setDeletesFail(true)
        _ = await fixture.put(new)
        let update = await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true)
        #expect(update?.error == "not_ready" && update?.message.contains("mine is not ready") == true)
        let taken = await #expect(throws: ProvisioningFailure.self) {
            try await fixture.plane.putVirtualMCP("office", connectors: ["mine"], replacing: false)
        }
        #expect(taken?.error == "not_ready")
        for failure in [update, taken] { #expect(failure?.hint?.contains("did you mean") == false) }
        #expect(ProvisioningFailure.unknown("connector", "a", among: ["a"], field: "name").hint == "berth connector list")
    }

    /// How an orchestrator is seen that dies in the middle of something.
    static let deaths: [any Error & Sendable] = [
        ExchangeFailure(.afterSend, "bad answer: the connection closed"),
        MachineAPIError(status: 0, code: "outcome_unknown", message: "the orchestrator's answer broke off: x"),
        MachineAPIError(status: 0, code: "unreachable", message: "the orchestrator does not answer: x"),
    ]

    @Test(arguments: 0..<3) func anOrchestratorThatDiesIsToldInASentence(index: Int) async throws {
        fixture.machines.state.withLockedValue { $0.buildError = Self.deaths[index] }
        let failure = await fixture.put(new)
        #expect(failure == .orchestratorGone)
        #expect(try await fixture.record() == nil)
    }

    @Test func anErrorOfOurOwnIsNotShownAsCode() async throws {
        struct Secret: Error { var inner = "x" }
        fixture.machines.state.withLockedValue { $0.buildError = Secret() }
        #expect(await fixture.put(new) == .internalError)
    }

    /// A refusal is the orchestrator's; the server's options are no remedy.
    @Test func aRefusalIsToldInItsOwnWords() async throws {
        let refusal = MachineAPIError(status: 409, code: "insufficient_capacity", message: "this host is full", hint: "destroy some")
        fixture.machines.state.withLockedValue { $0.buildError = refusal }
        let failure = await fixture.put(new)
        #expect(failure == ProvisioningFailure(error: "insufficient_capacity", message: "this host is full", hint: "destroy some"))
    }
}
