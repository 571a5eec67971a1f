import Testing

@testable import Orchestrator

struct ExecSeatsTests {
    private let one = BootName(machine: "a", boot: "1")
    private let two = BootName(machine: "b", boot: "1")

    private func refusal(_ body: () throws -> Void) -> ExecRefusal? {
        do { try body(); return nil } catch { return error as? ExecRefusal }
    }

    @Test("so many commands in a machine, so many on the host, and a place that is free again")
    func bounds() throws {
        var seats = ExecSeats()
        let users = try (0..<4).map { _ in try seats.take(one) { _ in true } }
        #expect(Set(users).count == 4 && users.allSatisfy(ExecSeats.users.contains))
        #expect(refusal { _ = try seats.take(one) { _ in true } } == .tooMany(4, inMachine: true))
        for machine in 0..<12 { _ = try seats.take(BootName(machine: "m\(machine)", boot: "1")) { _ in true } }
        #expect(refusal { _ = try seats.take(two) { _ in true } } == .tooMany(16, inMachine: false))
        seats.give(back: users[1], of: one)
        let next = try seats.take(one) { _ in true }
        #expect(!users.contains(next), "the next one, not the last one's")
    }

    @Test("a user of whom anything may be left is passed over; all users come round")
    func users() throws {
        var seats = ExecSeats()
        let free = try seats.take(one) { $0 != 65_000 && $0 != 65_001 }
        #expect(free == 65_002)
        #expect(refusal { _ = try seats.take(one) { _ in false } } == .noUser)
        var seen: Set<UInt32> = []
        for _ in ExecSeats.users {
            let user = try seats.take(two) { _ in true }
            seen.insert(user)
            seats.give(back: user, of: two)
        }
        #expect(seen == Set(ExecSeats.users))
        let again = try seats.take(two) { _ in true }
        #expect(again == 65_000, "only then the first one again")
    }

    @Test("none begins in a machine that is about to be removed, and its removal waits for one that begins")
    func ending() throws {
        var seats = ExecSeats()
        let user = try seats.take(one) { _ in true }
        let late = try seats.take(one) { _ in true }
        try seats.start(user, of: one)
        let waits = seats.end(one)
        #expect(waits, "one is just being made")
        #expect(refusal { try seats.start(late, of: one) } == .ending)
        #expect(refusal { _ = try seats.take(one) { _ in true } } == .ending)
        seats.started(user, of: one)
        let waitsStill = seats.end(one)
        #expect(!waitsStill)
        #expect(seats.count(one) == 2)
        seats.forget(one)
        #expect(seats.count(one) == 0)
    }
}
