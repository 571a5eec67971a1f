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
}
