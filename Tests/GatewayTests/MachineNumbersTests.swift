import Foundation
import Logging
import MachineAPI
import Testing
import TestSupport

@testable import Gateway

/// Several machines of a connector that everybody shares: how many there are, and where sessions go.
struct MachineNumbersTests {
    private func with(
        _ life: ConnectorLifeRequest, placementMemory: Duration = .seconds(600), _ body: (ProvisioningFixture, Connector) async throws -> Void
    ) async throws {
        let fixture = try ProvisioningFixture(placementMemory: placementMemory)
        let source = ImageSource(upload: "sha256:1", command: ["python3", "server.py"])
        if let failure = await fixture.put(ConnectorRequest(name: "mine", source: source, life: life)) { throw failure }
        let connector = try #require(try await fixture.record()?.connector)
        try await body(fixture, connector)
        await fixture.plane.stop()
    }

    private func ready(_ fixture: ProvisioningFixture, _ connector: Connector, _ principal: String = "ann") async throws -> String {
        try await fixture.plane.readyMachine(for: connector, principal: principal).machine
    }

    private func use(_ fixture: ProvisioningFixture, _ sessions: [String: Int], limit: Int = 2) {
        fixture.uses.withLockedValue { $0 = sessions.mapValues { MachineUse(sessions: $0, limit: limit, idle: nil) } }
    }

    @Test func oneMoreIsMadeWhenThoseThatRunAreFull() async throws {
        try await with(.init(max: 2)) { (fixture, connector) async throws in
            // One is there, and one comes that it does not tell of yet.
            use(fixture, ["m1": 1])
            #expect(try await ready(fixture, connector) == "m1")
            let second = try await ready(fixture, connector)
            #expect(second == "m2" && fixture.machines.generations == ["g1", "g1-2"])
            // As many as there may be: the least loaded.
            use(fixture, ["m1": 9, "m2": 90])
            #expect(try await ready(fixture, connector) == "m1")
            // A cordoned one gets no new session, and counts.
            fixture.machines.state.withLockedValue { $0.machines[0].cordoned = true }
            #expect(try await ready(fixture, connector) == "m2" && fixture.machines.generations.count == 2)
            // Its own sessions stay.
            #expect(try await fixture.plane.refresh(machine: "m1", of: connector, principal: "ann")?.machine == "m1")
        }
    }

    @Test func whatComesAtOnceIsSpread() async throws {
        try await with(.init(max: 3)) { (fixture, connector) async throws in
            use(fixture, ["m1": 0, "m2": 0, "m3": 0])
            let found = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<6 { group.addTask { try await ready(fixture, connector, "p\(number)") } }
                return try await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
            }
            #expect(found == ["m1": 2, "m2": 2, "m3": 2])
        }
    }

    @Test func whereTheHostHasNoRoomThoseThatRunServe() async throws {
        try await with(.init(max: 3)) { (fixture, connector) async throws in
            fixture.machines.state.withLockedValue { $0.room = 1 }
            use(fixture, ["m1": 2])
            #expect(try await ready(fixture, connector) == "m1" && fixture.machines.generations == ["g1"])
        }
    }

    @Test func asManyAreMadeAsAreToRunAndTheOrchestratorIsTold() async throws {
        try await with(.init(min: 3)) { (fixture, _) async throws in
            try await fixture.plane.start()
            #expect(await eventually { fixture.machines.generations == ["g1", "g1-2", "g1-3"] })
            #expect(fixture.machines.state.withLockedValue { $0.kept } == 3)
        }
    }

    @Test func whatWasToGoStaysWhereThereMayBeAsManyAgain() async throws {
        try await with(.init(max: 2), placementMemory: .zero) { (fixture, connector) async throws in
            use(fixture, ["m1": 2, "m2": 2])
            _ = try await ready(fixture, connector)
            #expect(fixture.machines.generations == ["g1", "g1-2"])
            let numbers = MachineNumbers(
                machines: fixture.machines, provider: fixture.plane.provider, drain: { _, _ in },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            var fewer = connector
            fewer.maxMachines = 1
            try await numbers.tend(fewer)
            let cordoned = fixture.machines.state.withLockedValue { $0.machines.filter { $0.cordoned == true }.map(\.id) }
            #expect(cordoned.count == 1)
            try await numbers.tend(connector)
            #expect(fixture.machines.state.withLockedValue { $0.machines.allSatisfy { $0.cordoned != true } })
        }
    }

    /// Of the same name, and so of the same app.
    @Test func aConnectorThatWasMadeAnewIsToldAnew() async throws {
        try await with(.init(min: 2)) { (fixture, connector) async throws in
            let numbers = MachineNumbers(
                machines: fixture.machines, provider: fixture.plane.provider, drain: { _, _ in },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try await numbers.tell(connector)
            fixture.machines.state.withLockedValue { $0.kept = nil }
            try await numbers.tell(connector)
            #expect(fixture.machines.state.withLockedValue { $0.kept } == nil)
            numbers.forget(allBut: [])
            try await numbers.tell(connector)
            #expect(fixture.machines.state.withLockedValue { $0.kept } == 2)
        }
    }

    @Test func anotherNumberAloneReplacesNoMachine() async throws {
        try await with(.init(max: 2)) { (fixture, connector) async throws in
            let life = ConnectorLifeRequest(min: 2, max: 4)
            #expect(await fixture.put(ConnectorRequest(name: "mine", life: life), updating: true) == nil)
            let changed = try #require(try await fixture.record())
            #expect(changed.generation == connector.generation && changed.connector?.maxMachines == 4 && changed.connector?.minMachines == 2)
            #expect(fixture.machines.generations == ["g1"])
            // With anything else it does.
            #expect(await fixture.put(ConnectorRequest(name: "mine", env: ["A": "1"], life: .init(max: 5)), updating: true) == nil)
            #expect(fixture.machines.generations == ["g2"])
        }
    }

    @Test func whatIsBeyondTheBoundFinishesItsSessionsAndGoes() async throws {
        try await with(.init(max: 3), placementMemory: .zero) { (fixture, connector) async throws in
            use(fixture, ["m1": 2, "m2": 2])
            _ = try await ready(fixture, connector)
            _ = try await ready(fixture, connector)
            use(fixture, ["m1": 2, "m2": 2, "m3": 2])
            _ = try await ready(fixture, connector)
            #expect(fixture.machines.generations == ["g1", "g1-2", "g1-3"])
            use(fixture, ["m1": 2, "m2": 1, "m3": 2])
            var fewer = connector
            fewer.maxMachines = 2
            func numbers(_ deadline: Duration) -> MachineNumbers {
                MachineNumbers(
                    machines: fixture.machines, provider: fixture.plane.provider,
                    drain: { address, _ in fixture.machines.say("drain \(address.machine)") }, deadline: deadline,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            }
            let patient = numbers(.seconds(600))
            try await patient.tend(fewer)
            try await patient.tend(fewer)
            #expect(fixture.machines.story.suffix(1) == ["cordon m2"], "it has a session")
            use(fixture, ["m1": 2, "m2": 0, "m3": 2])
            try await patient.tend(fewer)
            #expect(fixture.machines.story.suffix(2) == ["drain m2", "destroy m2"])
            // Its time is over, whoever is there.
            fewer.maxMachines = 1
            let impatient = numbers(.zero)
            try await impatient.tend(fewer)
            #expect(fixture.machines.generations.count == 1)
        }
    }
}
