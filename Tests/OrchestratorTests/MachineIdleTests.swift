import MachineAPI
import Testing

@testable import Orchestrator

/// A machine that nobody calls, as the state machine decides it.
struct MachineIdleTests {
    typealias Input = MachineStateMachine.Input
    typealias Effect = MachineStateMachine.Effect

    private func acts(_ effects: [Effect]) -> [Effect] { effects.filter { if case .record = $0 { false } else { true } } }

    private func machine(_ action: MachineConfig.Idle.Action = .stop, _ inputs: Input...) -> MachineStateMachine {
        var machine = MachineStateMachine(
            state: .created, desired: .stopped, policy: .init(idle: MachineConfig.Idle(seconds: 60, action: action)))
        for input in [.start(source: "user"), .turn, .booted, .ready] + inputs { _ = machine.handle(input) }
        return machine
    }

    private let idle = Input.idle(seconds: 60)
    private let start = Input.start(source: "user")

    @Test("its agent is asked first; what is wanted changes only with its yes; then it ends like any that is stopped")
    func stops() {
        var machine = machine()
        let told = machine.handle(idle)
        #expect(told == [
            .record(type: "autostop", status: "stopping", source: "berth", reason: "nobody called it for 60 s"), .close(idleSeconds: 60),
        ])
        #expect(machine.state == .stopping && machine.desired == .running && machine.life == .closing)
        #expect(machine.handle(idle) == [])
        #expect(acts(machine.handle(.closed)) == [.terminate, .arm(seconds: 5)])
        #expect(machine.desired == .stopped)
        _ = machine.handle(.exited(MachineEnd(code: 0), seconds: 0))
        #expect(machine.handle(.removed) == [.record(type: "stop", status: "stopped", source: "berth", reason: "nobody called it for 60 s")])
        #expect(machine.state == .stopped && machine.desired == .stopped)
        #expect(acts(machine.handle(start)) == [.queue(isAwaited: true)])
    }

    @Test("one that was called meanwhile serves on, and the event says so")
    func calledMeanwhile() {
        var machine = machine(.stop, idle)
        #expect(machine.handle(.closeFailed("called")) == [.record(type: "autostop", status: "started", source: "berth", reason: "called")])
        #expect(machine.state == .started && machine.life == .up && machine.desired == .running && machine.reason == nil)
        #expect(acts(machine.handle(idle)) == [.close(idleSeconds: 60)])
    }

    @Test("suspends where that is wanted, only if it is idle behind its closed door too")
    func suspends() {
        var machine = machine(.suspend)
        #expect(machine.handle(idle) == [
            .record(type: "autostop", status: "suspending", source: "berth", reason: "nobody called it for 60 s"), .freeze(idleSeconds: 60),
        ])
        #expect(machine.desired == .suspended)
        _ = machine.handle(.freezeFailed("called"))
        #expect(machine.state == .started && machine.desired == .running)
    }

    @Test("what is not idle for long enough, not up, not wanted, or without an idle time, is left alone")
    func leftAlone() {
        var short = machine()
        #expect(short.handle(.idle(seconds: 59)) == [])
        var without = MachineStateMachine(state: .created, desired: .stopped)
        for input in [start, .turn, .booted, .ready] { _ = without.handle(input) }
        #expect(without.handle(.idle(seconds: 1_000)) == [])
        for last: Input in [.stop(source: "user"), .suspend(source: "user"), .destroy(source: "user"), .hold] {
            var machine = machine(.stop, last)
            #expect(machine.handle(idle) == [], "\(last)")
        }
        var probing = MachineStateMachine(state: .created, desired: .stopped, policy: .init(idle: .init(seconds: 1)))
        for input in [start, .turn, .booted] { _ = probing.handle(input) }
        #expect(probing.handle(idle) == [])
    }

    @Test("a start while its agent is asked: it serves on, or begins anew; nobody who needs it finds it stopped")
    func startMeanwhile() {
        var kept = machine(.stop, idle)
        #expect(acts(kept.handle(start)) == [] && kept.state == .starting)
        #expect(kept.handle(start) == [])
        _ = kept.handle(.closeFailed("called"))
        #expect(kept.state == .started && kept.life == .up)

        var anew = machine(.stop, idle, start)
        #expect(acts(anew.handle(.closed)) == [.terminate, .arm(seconds: 5)])
        #expect(anew.desired == .running)
        _ = anew.handle(.exited(MachineEnd(code: 0), seconds: 0))
        #expect(acts(anew.handle(.removed)) == [.queue(isAwaited: true)])

        var late = machine(.stop, idle, .closed)
        #expect(acts(late.handle(start)) == [] && late.desired == .running)
        _ = late.handle(.exited(MachineEnd(code: 0), seconds: 0))
        #expect(acts(late.handle(.removed)) == [.queue(isAwaited: true)])
    }

    @Test("stop, hold, restart, destroy and its own end, while its agent is asked")
    func endings() {
        for ending: Input in [.stop(source: "user"), .hold, .restart(source: "user")] {
            var machine = machine(.stop, idle)
            #expect(acts(machine.handle(ending)) == [.terminate, .arm(seconds: 5)], "\(ending)")
            // The answer comes too late to say anything.
            #expect(machine.handle(.closed) == [] && machine.handle(.closeFailed("x")) == [])
        }
        var destroyed = machine(.stop, idle)
        #expect(acts(destroyed.handle(.destroy(source: "user"))) == [.disarm, .remove])
        var crashed = machine(.stop, idle)
        #expect(acts(crashed.handle(.exited(MachineEnd(signal: 9), seconds: 0))) == [.disarm, .remove])
        #expect(acts(crashed.handle(.removed)) == [.arm(seconds: 1)])
    }

    @Test("a later orchestrator asks once more; a half-done restart is none of that")
    func adoption() {
        let policy = MachineStateMachine.Policy(idle: .init(seconds: 60))
        var asked = MachineStateMachine(state: .stopping, desired: .running, wasReady: true, reason: "nobody called it for 60 s", policy: policy)
        #expect(acts(asked.handle(.adopted(isStarted: true))) == [.close(idleSeconds: 60)])
        _ = asked.handle(.closed)
        #expect(asked.desired == .stopped && asked.life == .ending)
        var needed = MachineStateMachine(state: .starting, desired: .running, wasReady: true, reason: "nobody called it for 60 s", policy: policy)
        #expect(acts(needed.handle(.adopted(isStarted: true))) == [.thaw, .arm(seconds: 60)])
        var restarted = MachineStateMachine(state: .stopping, desired: .running, wasReady: true, policy: policy)
        #expect(!acts(restarted.handle(.adopted(isStarted: true))).contains(.close(idleSeconds: 60)))
    }
}
