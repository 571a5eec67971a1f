import Door
import Foundation
import MachineAPI
import Testing
import TestSupport

@testable import Gateway

/// A machine for each principal: who gets which, and who gives way.
struct PrincipalMachinesTests {
    private func with(
        _ life: ConnectorLifeRequest = .init(), rest: Duration = .seconds(30), _ body: (ProvisioningFixture, Connector) async throws -> Void
    ) async throws {
        let fixture = try ProvisioningFixture(rest: rest)
        var life = life
        life.isolation = "principal"
        let source = ImageSource(upload: "sha256:1", command: ["python3", "server.py"])
        if let failure = await fixture.put(ConnectorRequest(name: "mine", source: source, life: life)) { throw failure }
        let connector = try #require(try await fixture.record()?.connector)
        try await body(fixture, connector)
        await fixture.plane.stop()
    }

    private func owners(_ fixture: ProvisioningFixture) -> [String] {
        fixture.machines.state.withLockedValue { $0.machines.compactMap(\.principal) }.sorted()
    }

    private func set(_ fixture: ProvisioningFixture, _ principal: String, _ change: @Sendable (inout Machine) -> Void) {
        fixture.machines.state.withLockedValue { state in
            for index in state.machines.indices where state.machines[index].principal == principal { change(&state.machines[index]) }
        }
    }

    @Test func whatAnAddProbedIsNobodys() async throws {
        try await with { (fixture, _) async throws in
            #expect(fixture.machines.story.filter { $0.hasPrefix("create") || $0.hasPrefix("destroy") }.count == 2)
            #expect(owners(fixture).isEmpty)
        }
    }

    @Test func eachHasItsOwnInAnyRace() async throws {
        try await with { (fixture, connector) async throws in
            let names = ["ann", "bob", "cyd", "Ann"]
            let found = try await withThrowingTaskGroup(of: (String, MachineAddress).self) { group in
                for number in 0..<48 {
                    let name = names[number % names.count]
                    group.addTask { (name, try await fixture.plane.readyMachine(for: connector, principal: name)) }
                }
                return try await group.reduce(into: [String: Set<String>]()) { $0[$1.0, default: []].insert($1.1.machine) }
            }
            #expect(found.count == 4 && found.values.allSatisfy { $0.count == 1 })
            #expect(Set(found.values.flatMap { $0 }).count == 4)
            #expect(owners(fixture) == names.sorted())
            // A pin that names another's machine finds nothing.
            let anns = try #require(found["ann"]?.first)
            #expect(try await fixture.plane.refresh(machine: anns, of: connector, principal: "bob") == nil)
            #expect(try await fixture.plane.refresh(machine: anns, of: connector, principal: "ann")?.machine == anns)
            // Nor does a connector that everybody shares take one.
            var shared = connector
            shared.isolation = .app
            #expect(try await fixture.plane.refresh(machine: anns, of: shared, principal: "ann") == nil)
        }
    }

    @Test func pastTheBoundTheLongestIdleGivesWay() async throws {
        try await with(.init(max: 2)) { (fixture, connector) async throws in
            let ann = try await fixture.plane.readyMachine(for: connector, principal: "ann").machine
            let bob = try await fixture.plane.readyMachine(for: connector, principal: "bob").machine
            func refusal(_ principal: String) async throws -> PinSearch.NotFound? {
                do {
                    _ = try await fixture.plane.readyMachine(for: connector, principal: principal)
                    return nil
                } catch let error as PinSearch.NotFound {
                    return error
                }
            }
            // Both are at work, or nearly so.
            fixture.uses.withLockedValue { $0 = [ann: .init(sessions: 1, idle: nil), bob: .init(sessions: 1, idle: .seconds(12))] }
            let told = try await refusal("cyd")
            #expect(told?.code == "at_capacity" && told?.retryAfter == 19, "\(String(describing: told))")
            #expect(owners(fixture) == ["ann", "bob"])
            // The one that is idle longest, unless its agent says that it was called meanwhile.
            fixture.uses.withLockedValue { $0 = [ann: .init(sessions: 1, idle: .seconds(60)), bob: .init(sessions: 1, idle: .seconds(40))] }
            fixture.stubborn.withLockedValue { $0 = [ann] }
            #expect(try await refusal("cyd") == nil)
            #expect(owners(fixture) == ["ann", "cyd"])
            // What does not run goes before what does.
            set(fixture, "cyd") { $0.state = .stopped }
            fixture.stubborn.withLockedValue { $0 = [] }
            #expect(try await refusal("dan") == nil)
            #expect(owners(fixture) == ["ann", "dan"])
            // Many at once never have more than there may be.
            fixture.uses.withLockedValue { $0 = [:] }
            let served = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<8 { group.addTask { try await refusal("p\(number)") == nil } }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(served == 0 && owners(fixture) == ["ann", "dan"])
        }
    }

    @Test func whereTheHostHasNoRoomAnIdleOneGivesWay() async throws {
        try await with { (fixture, connector) async throws in
            fixture.machines.state.withLockedValue { $0.room = 1 }
            let ann = try await fixture.plane.readyMachine(for: connector, principal: "ann").machine
            await #expect(throws: MachineAPIError(status: 503, code: "insufficient_capacity", message: "no room")) {
                _ = try await fixture.plane.readyMachine(for: connector, principal: "bob")
            }
            fixture.uses.withLockedValue { $0 = [ann: .init(sessions: 1, idle: .seconds(60))] }
            // For a second bob is told the same without asking.
            let isServed = await eventually { (try? await fixture.plane.readyMachine(for: connector, principal: "bob")) != nil }
            #expect(isServed)
            #expect(owners(fixture) == ["bob"])
        }
    }

    @Test func whoMayNotUseItLosesHisMachine() async throws {
        try await with { (fixture, connector) async throws in
            try await fixture.plane.start()
            try await fixture.plane.putVirtualMCP("office", connectors: ["mine"], replacing: false)
            var tokens: [String] = []
            for principal in ["ann", "ann", "bob"] {
                tokens.append(try await fixture.plane.createToken(principal: principal, slug: "office", expiresIn: nil).record.id)
                _ = try await fixture.plane.readyMachine(for: connector, principal: principal)
            }
            try await fixture.plane.revokeToken(tokens[0])
            try await fixture.plane.revokeToken(tokens[2])
            #expect(await eventually { owners(fixture) == ["ann"] })
            try await fixture.plane.revokeToken(tokens[1])
            #expect(await eventually { owners(fixture).isEmpty })
        }
    }

    @Test func whatNobodyNeededForADayGoes() async throws {
        try await with { (fixture, connector) async throws in
            try await fixture.plane.putVirtualMCP("office", connectors: ["mine"], replacing: false)
            for principal in ["ann", "bob", "cyd"] {
                _ = try await fixture.plane.createToken(principal: principal, slug: "office", expiresIn: nil)
                _ = try await fixture.plane.readyMachine(for: connector, principal: principal)
            }
            set(fixture, "ann") { $0.state = .stopped; $0.berth?.since = "2020-01-01T00:00:00.000Z" }
            set(fixture, "bob") { $0.berth?.since = "2020-01-01T00:00:00.000Z" }
            set(fixture, "cyd") { $0.state = .stopped; $0.berth?.since = "2999-01-01T00:00:00.000Z" }
            try await fixture.plane.start()
            #expect(await eventually { owners(fixture) == ["bob", "cyd"] })
        }
    }

    @Test func order() {
        typealias Resident = PrincipalRoom.Resident
        let residents = [
            Resident(machine: "busy"), Resident(machine: "fresh", idle: .seconds(5)), Resident(machine: "idle", idle: .seconds(40)),
            Resident(machine: "idler", idle: .seconds(90)), Resident(machine: "old", stoppedSince: "2026-01-01"),
            Resident(machine: "older", stoppedSince: "2025-01-01"),
        ]
        #expect(PrincipalRoom.order(residents).map(\.machine) == ["older", "old", "idler", "idle"])
        #expect(PrincipalRoom.retryAfter(residents) == 1)
        #expect(PrincipalRoom.retryAfter([.init(machine: "busy")]) == 11)
        #expect(PrincipalRoom.retryAfter([.init(machine: "fresh", idle: .seconds(5)), .init(machine: "busy")]) == 26)
    }

    @Test func names() throws {
        let names = try ["ann", "Ann", "ann ", "bob"].map { try PrincipalRoom.name(generation: 3, principal: $0) }
        #expect(Set(names).count == 4 && names.allSatisfy { $0.hasPrefix("g3-") && $0.utf8.count <= 63 })
    }
}

/// How many machines for how long, as a request says it.
struct ConnectorLifeTests {
    @Test func whatHolds() throws {
        let plain = ConnectorLife()
        #expect(plain.idleInForce == nil && plain.maxInForce == 1)
        let first = try ConnectorLifeRequest(isolation: "principal").life(changing: nil)
        let own = try #require(first)
        #expect(own.idleInForce == .init(seconds: 900) && own.maxInForce == 16)
        let off = try ConnectorLifeRequest(idle_seconds: 0).life(changing: own)
        let never = try #require(off)
        #expect(never.idleInForce == nil)
        let minute = try ConnectorLifeRequest(idle_seconds: 60).life(changing: never)
        #expect(minute?.idleInForce == .init(seconds: 60))
        let other = try ConnectorLifeRequest(idle_action: "suspend").life(changing: own)
        let suspended = try #require(other)
        #expect(suspended.idleInForce == .init(seconds: 900, action: .suspend))
        let short = try ConnectorLifeRequest(idle_seconds: 5).life(changing: suspended)
        #expect(short?.idleInForce == .init(seconds: 5, action: .suspend))
        let shared = try ConnectorLifeRequest(isolation: "app").life(changing: own)
        #expect(shared == nil)
    }

    @Test(arguments: [
        (ConnectorLifeRequest(isolation: "machine"), "life.isolation"), (ConnectorLifeRequest(max: 0), "life.max"),
        (ConnectorLifeRequest(max: 257), "life.max"), (ConnectorLifeRequest(idle_seconds: -1), "life.idle_seconds"),
        (ConnectorLifeRequest(idle_action: "stop"), "life.idle_action"), (ConnectorLifeRequest(idle_seconds: 9, idle_action: "x"), "life.idle_action"),
    ]) func refusals(_ request: ConnectorLifeRequest, _ field: String) {
        do {
            _ = try request.life(changing: nil)
            Issue.record("\(request) was taken")
        } catch {
            #expect(error.field == field && error.hint != nil)
        }
    }
}
