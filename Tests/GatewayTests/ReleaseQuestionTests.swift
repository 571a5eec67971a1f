import JSONText
import MachineAPI
import Testing

@testable import Gateway

/// A doubtful release: every way in which the gateway builds tells of it, refuses it, and takes it with a yes of that very request.
@Suite("connectors: releases that are asked about")
struct ReleaseQuestionTests {
    let fixture: ProvisioningFixture

    init() throws { fixture = try ProvisioningFixture() }

    private func ask(_ accept: String) {
        fixture.machines.state.withLockedValue {
            $0.doubtful = ReleaseReport(kind: .pypi, name: "server", version: "2.0", doubts: [.init(.young, "it is young")], accept: accept)
        }
    }

    private func request(_ spec: String = "server", accept: [String]? = nil) -> ConnectorRequest {
        ConnectorRequest(name: "mine", source: ImageSource(pypi: spec), accept: accept)
    }

    @Test func anAddIsRefusedAndLeavesNothing() async throws {
        ask("server==2.0")
        let told = Locked<[JSONValue]>([])
        let failure = await fixture.plane.provision(request(), updating: false) { event in told.withLockedValue { $0.append(event.json) } }
        #expect(failure?.error == "unconfirmed" && failure?.accept == ["server==2.0"] && failure?.hint == "--accept server==2.0 takes it.")
        let events = told.withLockedValue { $0 }
        #expect(events.first?["event"] == "release" && events.first?["doubts"]?.arrayValue?.first?["reason"] == "young")
        #expect(events.last?["event"] == "failed" && events.last?["accept"] == ["server==2.0"], "\(events)")
        #expect(try await fixture.count("connectors") == 0)
        #expect(fixture.machines.builds == 0 && fixture.machines.generations.isEmpty)
        // A yes to something else is none.
        #expect(await fixture.put(request(accept: ["server==1.0"]))?.error == "unconfirmed")
        #expect(await fixture.put(request(accept: ["server==2.0"])) == nil)
        #expect(fixture.machines.builds == 1)
    }

    @Test func aYesHoldsForItsRequestAlone() async throws {
        ask("server==2.0")
        #expect(await fixture.put(request(accept: ["server==2.0"])) == nil)
        let failure = await fixture.put(request("server==2.0"), updating: true)
        #expect(failure?.error == "unconfirmed" && failure?.message.hasSuffix("; mine serves on as it was") == true)
        #expect(await fixture.put(request("server==2.0", accept: ["server==2.0"]), updating: true) == nil)
        #expect(await fixture.plane.preview("mine") { _ in }?.error == "unconfirmed")
        let changes = Locked<VersionChanges?>(nil)
        #expect(await fixture.plane.preview("mine", accepting: ["server==2.0"]) { if case .changes(let found) = $0 { changes.withLockedValue { $0 = found } } } == nil)
        let image = try #require(changes.withLockedValue { $0?.image })
        #expect(await fixture.plane.replace("mine", by: .rebuilt(.init(image: image))) { _ in }?.error == "unconfirmed")
        var trial = request()
        #expect(await fixture.plane.trial(trial) { _ in }?.error == "unconfirmed")
        trial.accept = ["server==2.0"]
        #expect(await fixture.plane.trial(trial) { _ in } == nil)
    }

    @Test func acceptedReleasesAreBounded() {
        #expect(throws: ProvisioningFailure.self) { try ConnectorRules.check(request(accept: Array(repeating: "a", count: 129))) }
        #expect(throws: ProvisioningFailure.self) { try ConnectorRules.check(request(accept: [String(repeating: "a", count: 513)])) }
    }
}
