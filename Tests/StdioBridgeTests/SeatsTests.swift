import NIOCore
import Testing

@testable import StdioBridge

struct SeatsTests {
    private static func at(_ seconds: Int) -> NIODeadline { .uptimeNanoseconds(UInt64(seconds) * 1_000_000_000) }

    private static func seats(_ limit: Int, queue: Int = 64, _ owners: String...) -> Seats<Int> {
        var seats = Seats<Int>(limit: limit, queue: queue)
        for (id, owner) in owners.enumerated() {
            seats.join(id, .owner(owner), now: at(0))
            _ = seats.fill()
        }
        return seats
    }

    @Test func firstComeFirstServed() {
        var seats = Self.seats(2, "", "", "", "")
        #expect(seats.free == 0 && seats.waiting == 2 && seats.holds(1) && !seats.holds(2))
        for (leaver, next) in [(0, [2]), (1, [3]), (2, []), (3, [])] {
            seats.leave(leaver)
            #expect(seats.fill() == next)
        }
        #expect(seats.free == 2)
    }

    @Test func whoWaitsMayLeave() {
        var seats = Self.seats(1, "", "", "")
        seats.leave(1)
        seats.leave(1)
        #expect(seats.fill() == [])
        seats.leave(0)
        #expect(seats.fill() == [2])
        #expect(seats.free == 0 && seats.waiting == 0)
    }

    @Test func oneOwnerNeverHoldsAllOfThreeAndMore() {
        for (limit, most) in [(1, 1), (2, 2), (3, 2), (5, 4), (64, 63)] {
            var seats = Seats<Int>(limit: limit)
            for id in 0..<limit + 3 {
                seats.join(id, .owner("ann"), now: Self.at(0))
                _ = seats.fill()
            }
            #expect(seats.held == [.owner("ann"): most], "of \(limit)")
            seats.join(100, .owner("bob"), now: Self.at(0))
            #expect(seats.fill() == (limit > 2 ? [100] : []))
        }
        // Where nobody knows whose they are, all of them are anybody's.
        #expect(Self.seats(3, "", "", "").held == [.owner(""): 3])
    }

    @Test func aSeatGoesToWhoHoldsFewest() {
        var seats = Self.seats(4, "ann", "ann", "bob", "ann", "ann", "bob", "cid")
        #expect(seats.queue.map(\.id) == [4, 5, 6])
        seats.leave(3)
        #expect(seats.fill() == [6])
        seats.leave(0)
        // Both hold one: who came first.
        #expect(seats.fill() == [4])
        // What is leaving is nobody's any more, and has its seat until it has left.
        seats.leaving(1)
        #expect(seats.held == [.owner("ann"): 1, .owner("bob"): 1, .owner("cid"): 1, .leaving: 1] && seats.fill() == [])
    }

    @Test func theQueueIsBoundedForEach() {
        var seats = Self.seats(1, queue: 4, "ann")
        let comers = [("ann", true), ("ann", true), ("ann", false), ("bob", true), ("cid", true), ("dan", false)]
        for (id, (owner, isAdmitted)) in comers.enumerated() {
            #expect(seats.admits(.owner(owner)) == isAdmitted)
            if isAdmitted { seats.join(id + 1, .owner(owner), now: Self.at(0)) }
        }
        var own = Self.seats(1, queue: 2, "")
        for id in 1...2 {
            #expect(own.admits(.owner("")))
            own.join(id, .owner(""), now: Self.at(0))
        }
        #expect(!own.admits(.owner("")))
    }

    /// Who makes room: children as `owner` and `i`dle, `b`usy, `d`raining or `s`topping, in the order of their last request, and who waits.
    @Test(arguments: [
        // One's own, above the share; the oldest.
        ("ann:i ann:i ann:i ann:i bob:i", "ann", 1, "retire 0"),
        ("ann:b ann:i ann:i ann:i bob:i", "ann", 1, "retire 1"),
        // Never another's while one holds as many.
        ("bob:i ann:b ann:b ann:b ann:b", "ann", 1, "nothing"),
        ("ann:b bob:i cid:i dan:i eve:i", "ann", 1, "nothing"),
        ("ann:i bob:i cid:i dan:i eve:i", "bob", 1, "retire 1"),
        // Whoever has most, though another's is idle longer.
        ("cid:i ann:b ann:i ann:i bob:i", "dan", 1, "retire 2"),
        ("cid:i bob:i ann:b dan:b eve:i", "fay", 1, "retire 0"),
        ("cid:b bob:i ann:i ann:i ann:i", "cid", 1, "retire 2"),
        // All are busy: not at once, and then of whoever has most, above its share or not.
        ("bob:b ann:b ann:b ann:b ann:b", "cid", 1, "wait 5"),
        ("bob:b ann:b ann:b ann:b ann:b", "cid", 5, "drain 1 above"),
        ("ann:b bob:b cid:b dan:b eve:b", "fay", 9, "drain 0"),
        ("ann:b bob:b cid:b dan:b eve:b", "ann", 9, "nothing"),
        ("bob:b ann:b ann:b ann:b ann:b", "ann", 9, "nothing"),
        ("ann:d bob:b ann:b ann:b ann:b", "cid", 9, "nothing"),
        ("ann:d bob:b ann:b ann:b ann:i", "cid", 9, "retire 4"),
        ("ann:s bob:b ann:b ann:b ann:i", "cid", 9, "nothing"),
        ("ann:s bob:b ann:b ann:b ann:i", "cid dan", 9, "retire 4"),
        // A spare is the first to go.
        ("ann:i spare:i ann:i bob:i bob:i", "ann", 1, "retire 1"),
        ("ann:i spare:b ann:i ann:i ann:i", "ann", 1, "retire 0"),
        // Everybody's.
        (":b :i :b :i :i", "", 1, "retire 1"),
        (":b :b :b :b :b", "", 9, "nothing"),
    ])
    func room(children: String, waiting: String, seconds: Int, expected: String) {
        var seats = Seats<Int>(limit: 5)
        var residents: [Seats<Int>.Resident] = []
        for (id, child) in children.split(separator: " ").enumerated() {
            let parts = child.split(separator: ":", omittingEmptySubsequences: false)
            let state: Seats<Int>.Resident.State = ["i": .idle, "b": .busy, "d": .draining, "s": .stopping][parts[1]] ?? .idle
            residents.append(.init(id: id, state: state, since: Self.at(id)))
            seats.join(id, parts[0] == "spare" ? .nobody : .owner("\(parts[0])"), now: Self.at(0))
            _ = seats.fill()
            if state == .draining || state == .stopping { seats.leaving(id) }
        }
        for (number, owner) in waiting.split(separator: " ", omittingEmptySubsequences: false).enumerated() {
            seats.join(100 + number, .owner("\(owner)"), now: Self.at(0))
        }
        let move =
            switch seats.next(residents, patience: .seconds(5), now: Self.at(seconds)) {
            case nil: "nothing"
            case .retire(let id): "retire \(id)"
            case .drain(let id, let isAbove): "drain \(id)" + (isAbove ? " above" : "")
            case .wait(let until): "wait \(until.uptimeNanoseconds / 1_000_000_000)"
            }
        #expect(move == expected)
    }

    @Test func retiredSessionsAreRememberedOnceAndNotForEver() {
        var retired = RetiredSessions(capacity: 3)
        for id in ["", "a", "b", "a", "c", "d"] { retired.insert(id) }
        #expect(retired.count == 3)
        let told = ["a", "", "b", "b", "d"].map { retired.take($0) }
        #expect(told == [false, false, true, false, true])
        #expect(retired.count == 1)
    }
}
