import Door
import MachineAPI
import Testing

@testable import Gateway

@Suite("connectors: update")
struct ConnectorUpdateTests {
    let fixture: ProvisioningFixture

    init() throws { fixture = try ProvisioningFixture() }

    @Test func theOldMachineGoesWhenCallsGoToTheNewOne() async throws {
        try await fixture.add()
        fixture.machines.state.withLockedValue { $0.story = [] }
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["LEVEL": "debug"]), updating: true) == nil)
        #expect(fixture.machines.story == ["create g2", "publish mine g2", "drain m1", "destroy m1"])
        #expect(fixture.machines.generations == ["g2"])
    }

    @Test func whatWaitsForAMachineIsNotToldOfARemoval() async throws {
        try await fixture.add()
        fixture.forgotten.withLockedValue { $0 = [] }
        #expect(await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true) == nil)
        #expect(fixture.forgotten.withLockedValue { $0 }.isEmpty)
        try await fixture.plane.removeConnector("mine")
        #expect(fixture.forgotten.withLockedValue { $0 } == ["mine"])
    }

    @Test func noMachineOfAnOlderGenerationIsMade() async throws {
        try await fixture.add()
        let old = try #require(fixture.published.withLockedValue { $0.connectors["mine"] })
        _ = await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true)
        let address = try await fixture.plane.readyMachine(for: old, principal: "ann")
        #expect(address.machine == "m2" && fixture.machines.generations == ["g2"])
        // The new one is lost: another one of the new generation.
        fixture.machines.state.withLockedValue { $0.machines = [] }
        _ = try await fixture.plane.readyMachine(for: old, principal: "ann")
        #expect(fixture.machines.generations == ["g2"])
        try await fixture.plane.removeConnector("mine")
        await #expect(throws: PinSearch.NotFound.self) { try await fixture.plane.readyMachine(for: old, principal: "ann") }
        #expect(fixture.machines.generations.isEmpty)
    }

    @Test func aFailedUpdateLeavesTheOldMachine() async throws {
        try await fixture.add()
        fixture.deaf.withLockedValue { $0 = ["mine"] }
        #expect(await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true)?.error == "not_ready")
        #expect(fixture.machines.generations == ["g1"] && !fixture.machines.story.contains("drain m1"))
        #expect(try await fixture.record()?.generation == 1)
    }

    /// Its machine has the name that the next one wants.
    @Test func whatAFailedUpdateLeftIsNotTakenByTheNext() async throws {
        try await fixture.add()
        fixture.deaf.withLockedValue { $0 = ["mine"] }
        fixture.machines.state.withLockedValue { $0.destroysFail = true }
        #expect(await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true)?.error == "not_ready")
        #expect(fixture.machines.generations == ["g1", "g2"])
        fixture.deaf.withLockedValue { $0 = [] }
        fixture.machines.state.withLockedValue { $0.destroysFail = false }
        #expect(await fixture.put(ConnectorRequest(name: "mine", pids: 48), updating: true) == nil)
        #expect(fixture.machines.generations == ["g2"])
        #expect(fixture.machines.state.withLockedValue { $0.machines.first?.config.guest?.pids } == 48)
    }

    @Test func aMachineWithOtherLimitsIsNotTaken() async throws {
        try await fixture.add()
        let connector = try #require(fixture.published.withLockedValue { $0.connectors["mine"] })
        #expect(try await fixture.plane.readyMachine(for: connector, principal: "ann").machine == "m1")
        fixture.machines.state.withLockedValue { $0.machines[0].config.guest?.memory_mb = 16 }
        #expect(try await fixture.plane.readyMachine(for: connector, principal: "ann").machine == "m2")
    }

    // MARK: The image

    static let kept: [(ConnectorRequest, [String])] = [
        (ConnectorRequest(name: "mine", secrets: ["K": "v"]), ["/usr/bin/python3", "server.py", "--quiet"]),
        (ConnectorRequest(name: "mine", args: ["--verbose", "3"]), ["/usr/bin/python3", "server.py", "--verbose", "3"]),
        (ConnectorRequest(name: "mine", args: []), ["/usr/bin/python3", "server.py"]),
        (ConnectorRequest(name: "mine", command: ["python3", "-m", "other"]), ["/usr/bin/python3", "-m", "other", "--quiet"]),
        (ConnectorRequest(name: "mine", args: ["x"], command: ["./bin/run"]), ["/opt/mcp/app/bin/run", "x"]),
        (ConnectorRequest(name: "mine", command: ["/usr/bin/git"]), ["/usr/bin/git", "--quiet"]),
    ]

    @Test(arguments: kept)
    func whatTheImageDoesNotHoldNeedsNoBuild(request: ConnectorRequest, command: [String]) async throws {
        try await fixture.add()
        #expect(await fixture.put(request, updating: true) == nil)
        let record = try #require(try await fixture.record())
        #expect(fixture.machines.builds == 1 && record.build?.image == "sha256:image1" && record.build?.command == command)
        #expect(record.generation == 2 && record.definition.source.upload == "sha256:1")
        // What was taken over is what the next change begins with.
        #expect(await fixture.put(ConnectorRequest(name: "mine", args: ["last"]), updating: true) == nil)
        #expect(try await fixture.record()?.build?.command.last == "last")
        #expect(fixture.machines.builds == 1)
    }

    static let rebuilt = [
        ConnectorRequest(name: "mine", source: ImageSource(upload: "sha256:1")), ConnectorRequest(name: "mine", source: ImageSource(pypi: "a")),
        ConnectorRequest(name: "mine", source: ImageSource(constraints: ["mcp<2"])), ConnectorRequest(name: "mine", command: ["git"]),
    ]

    @Test(arguments: rebuilt)
    func whatTheImageHoldsIsBuilt(request: ConnectorRequest) async throws {
        try await fixture.add()
        #expect(await fixture.put(request, updating: true) == nil)
        #expect(fixture.machines.builds == 2)
    }

    @Test func anImageThatIsGoneIsBuiltAgain() async throws {
        try await fixture.add()
        fixture.machines.state.withLockedValue { $0.images = [] }
        #expect(await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true) == nil)
        #expect(fixture.machines.builds == 2)
        #expect(try await fixture.record()?.build?.image == "sha256:image2")
    }

    // MARK: Secrets

    @Test func secretsAndRowChangeTogether() async throws {
        try await fixture.add(secrets: ["OLD": "1", "KEPT": "2"])
        try await fixture.execute("CREATE TRIGGER full BEFORE UPDATE ON connectors BEGIN SELECT RAISE(ABORT, 'full'); END")
        let request = ConnectorRequest(name: "mine", secrets: ["NEW": "3", "KEPT": "4"], drop_secrets: ["OLD"])
        #expect(await fixture.put(request, updating: true) != nil)
        func values() async throws -> [String: String]? { try await fixture.plane.credentialStore.credentials(connector: "mine")?.environment }
        #expect(try await values() == ["OLD": "1", "KEPT": "2"])
        #expect(fixture.machines.generations == ["g1"])
        try await fixture.execute("DROP TRIGGER full")
        #expect(await fixture.put(request, updating: true) == nil)
        #expect(try await values() == ["NEW": "3", "KEPT": "4"])
    }
}
