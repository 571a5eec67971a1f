import Door
import MachineAPI
import Sealing
import Testing
import TestSupport

@testable import Gateway

/// `--drain`: an update that leaves open sessions where they are, for a while.
@Suite("connectors: sessions that stay through an update")
struct ConnectorDrainTests {
    let fixture: ProvisioningFixture

    init() throws { fixture = try ProvisioningFixture() }

    private func add(_ life: ConnectorLifeRequest = .init(drain_seconds: 600), egress: [String]? = nil) async throws {
        let source = ImageSource(upload: "sha256:1", command: ["python3", "server.py"])
        if let failure = await fixture.put(ConnectorRequest(name: "mine", source: source, egress: egress, life: life)) { throw failure }
    }

    private func use(_ sessions: [String: Int]) {
        fixture.uses.withLockedValue { $0 = sessions.mapValues { MachineUse(sessions: $0, idle: nil) } }
    }

    private func sweep() async throws { await fixture.plane.provisioner.retireOldMachines(of: "mine") }

    private func connector() throws -> Connector { try #require(fixture.published.withLockedValue { $0.connectors["mine"] }) }

    @Test func theOldMachineServesItsSessionsAndGoesWithTheLast() async throws {
        try await add()
        use(["m1": 2])
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        #expect(fixture.machines.generations == ["g1", "g2"] && fixture.machines.story.last == "cordon m1")
        let now = try connector()
        #expect(now.generation == 2 && now.floor == 1)
        #expect(try await fixture.plane.readyMachine(for: now, principal: "ann").machine == "m2", "new sessions go to the new one")
        try await sweep()
        #expect(fixture.machines.story.last == "cordon m1", "once")
        use(["m1": 0])
        try await sweep()
        #expect(fixture.machines.story.suffix(2) == ["drain m1", "destroy m1"])
    }

    /// The next update has them stay as well; a failed one, and a gateway that begins, change nothing.
    @Test func theyStayThroughMore() async throws {
        try await add()
        use(["m1": 2, "m2": 1])
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "2"]), updating: true) == nil)
        #expect(fixture.machines.generations == ["g1", "g2", "g3"])
        fixture.deaf.withLockedValue { $0 = ["mine"] }
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "3"]), updating: true)?.error == "not_ready")
        let floor1 = try connector().floor
        #expect(fixture.machines.generations == ["g1", "g2", "g3"] && floor1 == 1)
        _ = try await fixture.plane.provisioner.tidy("mine")
        #expect(fixture.machines.generations == ["g1", "g2", "g3"])
        // Off, and all of them move.
        fixture.deaf.withLockedValue { $0 = [] }
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "4"], life: .init(drain_seconds: 0)), updating: true) == nil)
        let floor4 = try connector().floor
        #expect(fixture.machines.generations == ["g4"] && floor4 == 4)
    }

    @Test func whenTheirTimeIsOverTheyMove() async throws {
        try await add()
        use(["m1": 2])
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        try await expire(1)
        try await sweep()
        #expect(fixture.machines.generations == ["g2"])
    }

    private func expire(_ generation: Int) async throws {
        try await fixture.execute("UPDATE connectors SET drains = json_set(drains, '$.\"\(generation)\"', 1)")
    }

    /// Updates that follow give the sessions of an older version no second time.
    @Test func eachVersionHasATimeOfItsOwn() async throws {
        try await add()
        use(["m1": 2, "m2": 1])
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        let first = try #require(try connector().drains[1])
        // The number of machines alone says nothing of sessions.
        #expect(await fixture.put(ConnectorRequest(name: "mine", life: .init(max: 2)), updating: true) == nil)
        #expect(try connector().drains == [1: first])
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "2"]), updating: true) == nil)
        let both = try connector().drains
        #expect(both[1] == first && both.keys.sorted() == [1, 2])
        try await expire(1)
        try await sweep()
        #expect(fixture.machines.generations == ["g2", "g3"])
        // A shorter time holds for those that stay already, a longer one does not.
        #expect(await fixture.put(ConnectorRequest(name: "mine", life: .init(drain_seconds: 86_400)), updating: true) == nil)
        #expect(try connector().drains[2] == both[2] && connector().floor == 2)
        #expect(await fixture.put(ConnectorRequest(name: "mine", life: .init(drain_seconds: 1)), updating: true) == nil)
        #expect(try #require(try connector().drains[2]) < #require(both[2]))
        #expect(await fixture.put(ConnectorRequest(name: "mine", life: .init(drain_seconds: 0)), updating: true) == nil)
        #expect(try connector().drains.isEmpty && connector().floor == 3)
        try await sweep()
        #expect(fixture.machines.generations == ["g3"])
    }

    /// A row of before has one time for all of them.
    @Test func rowsOfBefore() async throws {
        try await add()
        use(["m1": 2])
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        try await fixture.execute("UPDATE connectors SET drains = NULL")
        try await sweep()
        #expect(fixture.machines.generations == ["g1", "g2"])
        try await fixture.execute("UPDATE connectors SET updatedAt = updatedAt - 600000")
        try await sweep()
        #expect(fixture.machines.generations == ["g2"])
    }

    /// Whoever calls once in a while must not keep an admin's mend out of a full host.
    @Test func theyGiveWayWhereTheHostIsFull() async throws {
        try await add()
        use(["m1": 2, "m2": 1])
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        fixture.machines.state.withLockedValue { $0.room = 2 }
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "2"]), updating: true) == nil)
        #expect(fixture.machines.generations == ["g2", "g3"], "that of the version before the last went, and no other")
        // Where nobody can give way but the one that serves, it is refused as before.
        fixture.machines.state.withLockedValue { $0.room = 1 }
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "3"]), updating: true)?.error == "insufficient_capacity")
        #expect(fixture.machines.generations.contains("g3"))
    }

    /// A machine that an update replaced for a reason, and that has not gone yet, is found by no session's row.
    @Test func whatIsBelowTheFloorIsNotFound() async throws {
        try await add()
        let one = try connector()
        let before = try await fixture.plane.readyMachine(for: one, principal: "ann")
        #expect(before.generation == 1)
        var now = one
        (now.generation, now.floor) = (2, 2)
        #expect(try await fixture.plane.refresh(machine: before.machine, of: now, principal: "ann") == nil)
        now.floor = 1
        #expect(try await fixture.plane.refresh(machine: before.machine, of: now, principal: "ann") == before)
        // And what is found says whose it is: a later floor moves it.
        let fake = FakeSupport(root: try AppRoot(secret: Secret([UInt8](repeating: 1, count: 32))))
        fake.state.withLockedValue { $0.machines["mine"] = before }
        let pin = Pin(session: "s", connector: "mine", epoch: 1, machine: before.machine, boot: before.boot)
        let found = try await PinSearch(support: fake).run(.verify(pin), .init(session: "s", connector: "mine"), connector: now, principal: "ann")
        #expect(found.entry.generation == 1)
    }

    @Test func whatStandsStillKeepsItsSessions() async throws {
        try await add()
        fixture.machines.state.withLockedValue { $0.machines[0].state = .suspended }
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        #expect(fixture.machines.generations == ["g1", "g2"])
    }

    @Test func whatDoesNotRunHasNoSessions() async throws {
        try await add()
        use(["m1": 2])
        fixture.machines.state.withLockedValue { $0.machines[0].state = .stopped }
        #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"]), updating: true) == nil)
        #expect(fixture.machines.generations == ["g2"])
    }

    /// Code that must not have something any more serves nobody.
    @Test(arguments: [
        ConnectorRequest(name: "mine", egress: ["a.example:443"]), ConnectorRequest(name: "mine", secrets: ["KEY": "new"]),
        ConnectorRequest(name: "mine", hosting: .init(profile: "untrusted")), ConnectorRequest(name: "mine", life: .init(isolation: "principal")),
    ]) func whatTakesAwayTakesEffectAtOnce(update: ConnectorRequest) async throws {
        try await add(egress: ["a.example:443", "b.example:443"])
        use(["m1": 2])
        #expect(await fixture.put(update, updating: true) == nil)
        let floor2 = try connector().floor
        #expect(!fixture.machines.generations.contains("g1") && floor2 == 2)
    }

    @Test func theTimeAloneReplacesNoMachineAndIsChecked() async throws {
        try await add(.init())
        #expect(await fixture.put(ConnectorRequest(name: "mine", life: .init(drain_seconds: 60)), updating: true) == nil)
        #expect(fixture.machines.generations == ["g1"])
        let refused = await fixture.put(ConnectorRequest(name: "mine", life: .init(drain_seconds: 86_401)), updating: true)
        #expect(refused?.field == "life.drain_seconds")
    }
}
