import NIOCore
import Testing

@testable import StdioBridge

struct SpareKeeperTests {
    private let now = NIODeadline.now()

    private func proven() -> SpareKeeper {
        var keeper = SpareKeeper(isOn: true, delay: .milliseconds(500))
        keeper.handshaken(withCredentials: false, now: now)
        return keeper
    }

    @Test func theFirstFollowsTheFirstHandshake() {
        var keeper = SpareKeeper(isOn: true, delay: .milliseconds(500))
        keeper.sessionCame(withCredentials: false, tookSpare: false, now: now)
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: now + .hours(1)) == .nothing)
        keeper.handshaken(withCredentials: false, now: now)
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: now) == .wait(.milliseconds(500)))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: now + .milliseconds(500)) == .start)
        #expect(keeper.decide(hasSpare: true, hasRoom: true, now: now + .milliseconds(500)) == .nothing)
    }

    @Test func offIsOff() {
        var keeper = SpareKeeper(isOn: false, delay: .zero)
        keeper.handshaken(withCredentials: false, now: now)
        keeper.sessionCame(withCredentials: true, tookSpare: false, now: now)
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: now) == .nothing)
        // Readiness has a child of its own without it, too.
        #expect(keeper.decide(hasSpare: true, hasRoom: true, now: now) == .nothing)
        var closed = proven()
        closed.close()
        #expect(closed.decide(hasSpare: false, hasRoom: true, now: now + .hours(1)) == .nothing)
    }

    @Test func aTakenOneIsReplacedAfterAMoment() {
        var keeper = proven()
        let later = now + .minutes(1)
        keeper.sessionCame(withCredentials: false, tookSpare: true, now: later)
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: later) == .wait(.milliseconds(500)))
        #expect(keeper.decide(hasSpare: false, hasRoom: false, now: later + .seconds(1)) == .nothing)
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: later + .seconds(1)) == .start)
    }

    @Test func oneThatWasSpokenToIsReplacedOnce() {
        var keeper = proven()
        #expect(keeper.decide(hasSpare: true, told: now, hasRoom: true, now: now) == .wait(.seconds(5)))
        let later = now + .seconds(5)
        #expect(keeper.decide(hasSpare: true, told: now, hasRoom: true, now: later) == .end("it was told of another client"))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: later) == .start)
        // Who asks again and again whether it is ready would start one after the other.
        #expect(keeper.decide(hasSpare: true, told: later, hasRoom: true, now: later + .hours(1)) == .nothing)
        keeper.sessionCame(withCredentials: false, tookSpare: true, now: later)
        #expect(keeper.decide(hasSpare: true, told: later, hasRoom: true, now: later + .hours(1)) == .end("it was told of another client"))
    }

    @Test func aSessionsOwnStartGoesFirst() {
        var keeper = proven()
        let later = now + .minutes(1)
        keeper.sessionCame(withCredentials: false, tookSpare: false, now: later)
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: later + .seconds(1)) == .wait(.seconds(14)))
        keeper.handshaken(withCredentials: false, now: later + .seconds(2))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: later + .seconds(2)) == .wait(.milliseconds(500)))
        keeper.sessionCame(withCredentials: false, tookSpare: false, now: later + .minutes(1))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: later + .minutes(1) + .seconds(15)) == .start)
    }

    @Test func credentialsEndIt() {
        var keeper = proven()
        keeper.sessionCame(withCredentials: true, tookSpare: false, now: now)
        #expect(keeper.decide(hasSpare: true, hasRoom: true, now: now) == .end("the sessions of this server have credentials"))
        keeper.sessionCame(withCredentials: false, tookSpare: false, now: now)
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: now + .hours(1)) == .nothing)
        var never = SpareKeeper(isOn: true, delay: .zero)
        never.handshaken(withCredentials: true, now: now)
        #expect(never.decide(hasSpare: false, hasRoom: true, now: now + .hours(1)) == .nothing)
    }

    @Test func deathsAreSpacedAndThenGivenUp() {
        var keeper = proven()
        var time = now + .seconds(1)
        var waits: [Int64] = []
        while keeper.decide(hasSpare: false, hasRoom: true, now: time) == .start, waits.count < 100 {
            keeper.died(now: time)
            guard case .wait(let delay) = keeper.decide(hasSpare: false, hasRoom: true, now: time) else { break }
            waits.append(delay.nanoseconds / 1_000_000_000)
            time = time + delay
        }
        #expect(waits == [1, 2, 4, 8])
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: time + .hours(1)) == .nothing)
        // One try for each session that comes.
        keeper.sessionCame(withCredentials: false, tookSpare: false, now: time + .hours(1))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: time + .hours(2)) == .start)
        keeper.died(now: time + .hours(2))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: time + .hours(3)) == .nothing)
        // One that was of use makes good.
        keeper.sessionCame(withCredentials: false, tookSpare: true, now: time + .hours(3))
        keeper.died(now: time + .hours(4))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: time + .hours(4)) == .wait(.seconds(1)))
    }

    @Test func anIdleMachineHoldsNone() {
        var keeper = proven()
        keeper.idled()
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: now + .hours(1)) == .nothing)
        keeper.sessionCame(withCredentials: false, tookSpare: false, now: now + .hours(1))
        #expect(keeper.decide(hasSpare: false, hasRoom: true, now: now + .hours(2)) == .start)
    }
}
