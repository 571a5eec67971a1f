import Glibc
import NIOCore
import Testing

@testable import StdioBridge

struct ChildStateMachineTests {
    private let now = NIODeadline.now()

    private func ready() -> ChildStateMachine {
        var machine = ChildStateMachine()
        #expect(machine.requestArrived(now: now) == [.spawn])
        #expect(machine.started() == [.arm(.seconds(60)), .startHandshake])
        #expect(machine.handshaken() == [.disarm, .flush])
        return machine
    }

    @Test func startsOnTheFirstRequestOnly() {
        var machine = ChildStateMachine()
        #expect(machine.requestArrived(now: now) == [.spawn])
        #expect(machine.requestArrived(now: now) == [])
        _ = machine.started()
        #expect(machine.requestArrived(now: now) == [])
        _ = machine.handshaken()
        #expect(machine.requestArrived(now: now) == [.flush])
    }

    @Test func anExitWaitsForTheRestOfTheOutput() {
        var machine = ready()
        #expect(machine.exited(.code(3), now: now) == [.arm(.milliseconds(800))])
        #expect(machine.outputClosed(now: now) == [])
        #expect(machine.errorsClosed(now: now) == [.disarm, .failRunning("the server exited with status 3"), .discardProcess])
        #expect(machine.requestArrived(now: now) == [.spawn])
    }

    @Test func aHeldOutputDoesNotDelayTheEnd() {
        var machine = ready()
        _ = machine.exited(.signal(9), now: now)
        #expect(machine.timerFired(now: now) == [.disarm, .failRunning("the server was killed by signal 9"), .discardProcess])
    }

    @Test func aMuteChildIsTerminated() {
        var machine = ready()
        _ = machine.errorsClosed(now: now)
        #expect(machine.outputClosed(now: now) == [.arm(.milliseconds(800))])
        #expect(machine.timerFired(now: now) == [.failRunning("the server closed its output"), .closeInput, .signal(SIGTERM), .arm(.seconds(2))])
        #expect(machine.timerFired(now: now) == [.signal(SIGKILL), .arm(.seconds(2))])
        #expect(machine.exited(.signal(9), now: now).contains(.discardProcess))
    }

    @Test func theLadder() {
        var machine = ready()
        #expect(machine.stop("over") == [.failWaiting("over"), .closeInput, .arm(.seconds(2))])
        #expect(machine.stop("again") == [])
        #expect(machine.timerFired(now: now) == [.closeInput, .signal(SIGTERM), .arm(.seconds(2))])
        #expect(machine.timerFired(now: now) == [.signal(SIGKILL), .arm(.seconds(2))])
        _ = machine.outputClosed(now: now)
        _ = machine.errorsClosed(now: now)
        #expect(machine.exited(.signal(9), now: now).last == .ended)
        #expect(machine.requestArrived(now: now) == [.failWaiting("over")])
    }

    /// Its exit may be told before its last words are read, and is no reason then.
    @Test func whyAHandshakeFailedIsToldAfterTheExit() {
        var machine = ChildStateMachine()
        _ = machine.requestArrived(now: now)
        _ = machine.started()
        #expect(machine.exited(.code(3), now: now) == [.arm(.milliseconds(800))])
        #expect(machine.handshakeFailed("it speaks 1999-01-01").isEmpty, "the process is not ended: it is gone")
        _ = machine.outputClosed(now: now)
        let end = machine.errorsClosed(now: now)
        #expect(end == [.disarm, .failRunning("the server exited with status 3"), .discardProcess, .failWaiting("it speaks 1999-01-01")])
        // Of one that had come up it says nothing.
        var ready = ready()
        _ = ready.exited(.code(3), now: now)
        _ = ready.handshakeFailed("too late")
        _ = ready.outputClosed(now: now)
        #expect(ready.errorsClosed(now: now).last == .discardProcess)
    }

    /// Whoever comes while it is being ended, and whoever comes while the next start waits, is told as the first was.
    @Test func aFailedHandshakeIsTheCauseForEverybody() {
        let cause = "the server chose the unknown protocol version 1999-01-01"
        var machine = ChildStateMachine()
        for attempt in 1...6 {
            let time = now + .seconds(Int64(100 * attempt))
            #expect(machine.requestArrived(now: time) == [.spawn])
            _ = machine.started()
            #expect(machine.handshakeFailed(cause).first == .failWaiting(cause))
            #expect(machine.requestArrived(now: time) == [])
            _ = machine.outputClosed(now: time)
            _ = machine.errorsClosed(now: time)
            let end = machine.exited(.code(0), now: time)
            #expect(end == [.disarm, .failRunning("the server exited with status 0"), .discardProcess, .failWaiting(cause)])
            guard attempt == 6 else { continue }
            #expect(machine.requestArrived(now: time) == [.failWaiting("\(cause); next start in 4 s")])
        }
        // The next one fails for a reason of its own.
        _ = machine.requestArrived(now: now + .seconds(1_000))
        _ = machine.started()
        _ = machine.outputClosed(now: now)
        _ = machine.errorsClosed(now: now)
        #expect(machine.exited(.code(3), now: now).last == .failWaiting("the server exited with status 3"))
    }

    @Test func backsOffFromAServerThatDoesNotStart() {
        var machine = ChildStateMachine()
        var time = now
        var delays: [Int64] = []
        for _ in 0..<10 {
            var actions = machine.requestArrived(now: time)
            if case .arm(let delay)? = actions.first {
                delays.append(delay.nanoseconds / 1_000_000)
                time = time + delay
                actions = machine.timerFired(now: time)
            } else if case .failWaiting? = actions.first {
                time = time + .seconds(31)
                actions = machine.requestArrived(now: time)
                delays.append(-1)
            }
            #expect(actions == [.spawn])
            _ = machine.started()
            _ = machine.errorsClosed(now: time)
            _ = machine.exited(.code(1), now: time)
            let death = machine.outputClosed(now: time)
            #expect(death.contains(.failWaiting("the server exited with status 1")))
        }
        #expect(delays == [200, 400, 800, 1600, -1, -1, -1, -1])
    }

    @Test func anEraRestartKeepsWhoWaits() {
        var machine = ChildStateMachine()
        _ = machine.requestArrived(now: now)
        _ = machine.started()
        machine.restartForEra()
        _ = machine.outputClosed(now: now)
        _ = machine.errorsClosed(now: now)
        let actions = machine.exited(.code(1), now: now)
        #expect(actions.last == .spawn)
        #expect(!actions.contains { if case .failWaiting = $0 { true } else { false } })
    }

    @Test func aRequestDuringTheEndStartsTheNextProcess() {
        var machine = ready()
        _ = machine.outputClosed(now: now)
        #expect(machine.requestArrived(now: now) == [])
        _ = machine.errorsClosed(now: now)
        #expect(machine.exited(.code(0), now: now).last == .spawn)
    }

    private func parked() -> ChildStateMachine {
        var machine = ChildStateMachine()
        #expect(machine.prepare() == [.spawn])
        #expect(machine.started() == [])
        #expect(machine.stage == .parked)
        return machine
    }

    private func die(_ machine: inout ChildStateMachine, _ status: StdioBridge.ExitStatus = .code(1)) -> [ChildStateMachine.Action] {
        _ = machine.outputClosed(now: now)
        _ = machine.errorsClosed(now: now)
        return machine.exited(status, now: now)
    }

    @Test func aSpareIsSpokenToByItsFirstRequest() {
        var machine = parked()
        #expect(machine.requestArrived(now: now) == [.arm(.seconds(60)), .startHandshake])
        #expect(machine.handshaken() == [.disarm, .flush])
        // From then on it is a child like any other.
        #expect(die(&machine) == [.disarm, .failRunning("the server exited with status 1"), .discardProcess])
        #expect(machine.failures == 1 && !machine.lostSpare)
        var early = ChildStateMachine()
        _ = early.prepare()
        #expect(early.requestArrived(now: now) == [])
        #expect(early.started() == [.arm(.seconds(60)), .startHandshake])
    }

    @Test func anUnusedSpareEndsWithItsProcess() {
        var machine = parked()
        #expect(die(&machine).suffix(2) == [.discardProcess, .ended])
        #expect(machine.lostSpare && machine.failures == 0)
        var unborn = ChildStateMachine()
        _ = unborn.prepare()
        #expect(unborn.startFailed("no", now: now).last == .ended)
        var deaf = parked()
        #expect(deaf.inputBroken() == [.closeInput, .arm(.seconds(2))])
        #expect(die(&deaf).last == .ended)
    }

    @Test func aSpareThatDiesUnderItsFirstRequestIsReplacedOnce() {
        for takesBeforeDeath in [true, false] {
            var machine = parked()
            if takesBeforeDeath { _ = machine.requestArrived(now: now) }
            _ = machine.outputClosed(now: now)
            if !takesBeforeDeath { #expect(machine.requestArrived(now: now) == []) }
            _ = machine.errorsClosed(now: now)
            let death = machine.exited(.code(1), now: now)
            #expect(death.last == .spawn)
            #expect(!death.contains { if case .failWaiting = $0 { true } else { false } })
            _ = machine.started()
            #expect(die(&machine).contains(.failWaiting("the server exited with status 1")))
            #expect(machine.failures == 1)
        }
    }

    @Test func aSpareThatIsStoppedClimbs() {
        var machine = parked()
        #expect(machine.stop("over") == [.failWaiting("over"), .closeInput, .arm(.seconds(2))])
        #expect(die(&machine, .code(0)).last == .ended)
        #expect(!machine.lostSpare)
    }

    @Test func stopWhileStartingClimbsAfterwards() {
        var machine = ChildStateMachine()
        _ = machine.requestArrived(now: now)
        #expect(machine.stop("over") == [.failWaiting("over")])
        #expect(machine.started() == [.closeInput, .arm(.seconds(2))])
        var unborn = ChildStateMachine()
        _ = unborn.requestArrived(now: now)
        _ = unborn.stop("over")
        #expect(unborn.startFailed("no", now: now).last == .ended)
    }

    /// Its program has changed: the end that was asked for is no failure, and whoever waits gets the next process at once.
    @Test(arguments: [false, true]) func renewal(isWanted: Bool) {
        var machine = ready()
        #expect(machine.renew(isWanted: isWanted, now: now) == [.closeInput, .arm(.seconds(2))])
        _ = machine.outputClosed(now: now)
        _ = machine.errorsClosed(now: now)
        let end = machine.exited(.code(0), now: now)
        #expect(end.contains(.discardProcess) && end.contains(.spawn) == isWanted)
        #expect(machine.failures == 0 && machine.diedStopping && !machine.isRenewing)
        #expect(machine.requestArrived(now: now) == (isWanted ? [] : [.spawn]))
    }

    @Test func renewalEndsABackOff() {
        var machine = ready()
        for _ in 0..<9 {
            _ = machine.outputClosed(now: now)
            _ = machine.errorsClosed(now: now)
            _ = machine.exited(.code(1), now: now)
            _ = machine.requestArrived(now: now + .hours(1))
            _ = machine.started()
        }
        _ = machine.outputClosed(now: now)
        _ = machine.errorsClosed(now: now)
        _ = machine.exited(.code(1), now: now)
        #expect(machine.requestArrived(now: now).contains(.spawn) == false)
        #expect(machine.renew(isWanted: false, now: now) == [])
        #expect(machine.requestArrived(now: now) == [.spawn])
        // What comes up is judged when it has.
        #expect(machine.renew(isWanted: true, now: now) == [] && !machine.isRenewable)
    }

    @Test func anEndThatWasAskedForIsStrongerThanARenewal() {
        var machine = ready()
        _ = machine.renew(isWanted: true, now: now)
        #expect(machine.stop("over") == [.failWaiting("over")])
        _ = machine.outputClosed(now: now)
        _ = machine.errorsClosed(now: now)
        #expect(machine.exited(.code(0), now: now).last == .ended)
        #expect(machine.renew(isWanted: true, now: now) == [])
    }
}
