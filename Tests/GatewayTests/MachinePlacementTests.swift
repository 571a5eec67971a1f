import Testing

@testable import Gateway

/// Where a new session goes, and which machine leaves.
struct MachinePlacementTests {
    typealias Candidate = MachinePlacement.Candidate

    private func ready(_ machine: String, _ sessions: Int, of limit: Int? = 5) -> Candidate {
        Candidate(machine: machine, state: .ready, sessions: sessions, limit: limit)
    }
    private func starting(_ machine: String, _ sessions: Int = 0) -> Candidate {
        Candidate(machine: machine, state: .starting, sessions: sessions, limit: nil)
    }
    private func stopped(_ machine: String) -> Candidate { Candidate(machine: machine, state: .stopped, sessions: 0, limit: nil) }

    @Test func theLeastLoadedThatHasRoom() {
        #expect(MachinePlacement.choose(among: [ready("a", 3), ready("b", 1), ready("c", 2)], max: 3) == .use("b"))
        #expect(MachinePlacement.choose(among: [ready("b", 1), ready("a", 1)], max: 3) == .use("a"))
        #expect(MachinePlacement.choose(among: [ready("a", 1, of: 1), ready("b", 4)], max: 3) == .use("b"))
        #expect(MachinePlacement.choose(among: [ready("a", 9, of: nil), starting("b")], max: 3) == .use("a"), "its agent does not say how many")
    }

    @Test func oneMoreWhereAllAreFull() {
        #expect(MachinePlacement.choose(among: [], max: 1) == .create)
        #expect(MachinePlacement.choose(among: [ready("a", 5)], max: 2) == .create)
        #expect(MachinePlacement.choose(among: [ready("a", 5), stopped("b")], max: 2) == .wait("b"))
        #expect(MachinePlacement.choose(among: [ready("a", 5), starting("b")], max: 3) == .wait("b"), "one comes up: none is made beside it")
        #expect(MachinePlacement.choose(among: [stopped("a"), stopped("b")], max: 2) == .wait("a"))
    }

    @Test func asManyAsThereMayBe() {
        #expect(MachinePlacement.choose(among: [ready("a", 7), ready("b", 6)], max: 2) == .use("b"), "the machine makes room itself")
        #expect(MachinePlacement.choose(among: [ready("a", 5), stopped("b")], max: 1) == .use("a"))
        #expect(MachinePlacement.choose(among: [stopped("a")], max: 0) == .wait("a"))
        #expect(MachinePlacement.choose(among: [], max: 0) == .none)
    }

    /// One that does not answer may have too much to do, or be stuck: whoever else there is comes first.
    @Test func whoSaysNothingIsTheLastChoice() {
        let silent = Candidate(machine: "a", state: .silent, sessions: 0, limit: nil)
        #expect(MachinePlacement.choose(among: [silent, ready("b", 4)], max: 2) == .use("b"))
        #expect(MachinePlacement.choose(among: [silent], max: 2) == .create)
        #expect(MachinePlacement.choose(among: [silent, stopped("b")], max: 2) == .wait("b"))
        #expect(MachinePlacement.choose(among: [silent, ready("b", 5)], max: 2) == .use("b"))
        #expect(MachinePlacement.choose(among: [silent], max: 1) == .use("a"))
    }

    @Test func whoLeaves() {
        let all = [(ready("a", 2), false), (stopped("b"), false), (ready("c", 4), true), (ready("d", 0), false)]
            .map { (candidate: $0.0, isCordoned: $0.1) }
        #expect(MachinePlacement.excess(all, max: 4) == [])
        #expect(MachinePlacement.excess(all, max: 3) == ["c"], "one that is cordoned is on its way already")
        #expect(MachinePlacement.excess(all, max: 1) == ["c", "b", "d"])
    }

    @Test func names() {
        #expect(MachinePlacement.name(generation: 3, taken: []) == "g3")
        #expect(MachinePlacement.name(generation: 3, taken: ["g3", "g3-3", "g2"]) == "g3-2")
        #expect(MachinePlacement.name(generation: 3, taken: ["g3", "g3-2", "g3-3"]) == "g3-4")
    }

    @Test func whatWasSentAMomentAgoCounts() {
        let begin = ContinuousClock.now
        var recent = RecentPlacements(memory: .seconds(3))
        recent.add("a", now: begin)
        recent.add("a", now: begin + .seconds(2))
        #expect(recent.count("a", now: begin + .seconds(2)) == 2 && recent.count("b", now: begin) == 0)
        #expect(recent.count("a", now: begin + .seconds(4)) == 1)
        #expect(recent.count("a", now: begin + .seconds(6)) == 0)
    }
}
