import MachineAPI
import Testing

@testable import Orchestrator

/// Suspending and waking, as the state machine decides it.
struct MachineSuspendTests {
    typealias Input = MachineStateMachine.Input
    typealias Effect = MachineStateMachine.Effect

    private func acts(_ effects: [Effect]) -> [Effect] { effects.filter { if case .record = $0 { false } else { true } } }

    private func machine(_ inputs: Input...) -> MachineStateMachine {
        var machine = MachineStateMachine(state: .created, desired: .stopped)
        for input in [.start(source: "user"), .turn, .booted, .ready] + inputs { _ = machine.handle(input) }
        return machine
    }

    private let suspend = Input.suspend(source: "user")
    private let start = Input.start(source: "user")

    @Test("a suspend closes and freezes; the event says what that gave back; a start thaws and asks the agent")
    func suspendAndWake() {
        var machine = machine()
        #expect(acts(machine.handle(suspend)) == [.freeze()])
        #expect(machine.state == .suspending && machine.desired == .suspended)
        let told = machine.handle(.frozen("no swap"))
        #expect(told == [.record(type: "suspend", status: "suspended", source: "berth", reason: "no swap")])
        #expect(machine.state == .suspended && machine.life == .frozen && machine.reason == "no swap")
        #expect(machine.handle(suspend) == [])
        #expect(acts(machine.handle(start)) == [.thaw, .arm(seconds: 60)])
        #expect(machine.state == .starting && machine.desired == .running)
        #expect(machine.handle(start) == [])
        #expect(acts(machine.handle(.thawed)) == [.probe(isDeep: false), .arm(seconds: 60)])
        #expect(acts(machine.handle(.ready)) == [.disarm])
        #expect(machine.state == .started && machine.reason == nil)
    }

    @Test("what cannot be suspended serves on and says why")
    func refused() {
        var machine = machine(suspend)
        #expect(acts(machine.handle(.freezeFailed("busy"))) == [])
        #expect(machine.state == .started && machine.life == .up && machine.desired == .running)
        var stopped = MachineStateMachine(state: .stopped, desired: .stopped)
        #expect(stopped.handle(suspend) == [])
    }

    @Test("a start that comes while it is being frozen ends that, or wakes it as soon as it stands still")
    func startWhileFreezing() {
        for answer: Input in [.frozen(""), .freezeFailed("busy")] {
            var machine = machine(suspend)
            #expect(acts(machine.handle(start)) == [.cancelFreeze])
            #expect(machine.handle(start) == [])
            _ = machine.handle(answer)
            #expect(machine.desired == .running && (machine.life == .thawing || machine.life == .up))
        }
    }

    @Test("stop, restart and destroy of what stands still; the signal is what thaws")
    func endings() {
        var stopped = machine(suspend, .frozen(""))
        #expect(acts(stopped.handle(.stop(source: "user"))) == [.terminate, .arm(seconds: 5)])
        #expect(acts(stopped.handle(.exited(MachineEnd(code: 0), seconds: 0))) == [.disarm, .remove])
        _ = stopped.handle(.removed)
        #expect(stopped.state == .stopped && stopped.desired == .stopped)

        var restarted = machine(suspend, .frozen(""))
        #expect(acts(restarted.handle(.restart(source: "user"))) == [.terminate, .arm(seconds: 5)])
        _ = restarted.handle(.timer)
        #expect(acts(restarted.handle(.removed)) == [.queue(isAwaited: true)])

        var destroyed = machine(suspend, .frozen(""))
        #expect(acts(destroyed.handle(.destroy(source: "user"))) == [.disarm, .remove])
        #expect(acts(destroyed.handle(.removed)) == [.erase])
    }

    @Test("while it is being frozen nothing else is done to it: a stop, a hold, a destroy wait until it stands still")
    func endingsWhileFreezing() {
        for (ending, act) in [(Input.stop(source: "user"), Effect.terminate), (.hold, .terminate), (.destroy(source: "user"), .remove)] {
            for answer: Input in [.frozen(""), .freezeFailed("busy")] {
                var machine = machine(suspend)
                #expect(acts(machine.handle(ending)) == [.cancelFreeze])
                #expect(acts(machine.handle(answer)).contains(act), "\(ending) \(answer)")
            }
        }
    }

    @Test("a restart that comes while it is being frozen is one, with another boot")
    func restartWhileFreezing() {
        for answer: Input in [.frozen(""), .freezeFailed("busy")] {
            var machine = machine(suspend)
            #expect(acts(machine.handle(.restart(source: "user"))) == [.cancelFreeze])
            #expect(acts(machine.handle(answer)) == [.terminate, .arm(seconds: 5)], "\(answer)")
            _ = machine.handle(.exited(MachineEnd(code: 0), seconds: 0))
            #expect(acts(machine.handle(.removed)) == [.queue(isAwaited: true)])
        }
    }

    @Test("one that ends while it stands still is stopped, and begins anew only when somebody needs it")
    func endsWhileFrozen() {
        var machine = machine(suspend, .frozen(""))
        #expect(acts(machine.handle(.exited(MachineEnd(signal: 9), seconds: 0))) == [.disarm, .remove])
        #expect(acts(machine.handle(.removed)) == [])
        #expect(machine.state == .stopped && machine.desired == .stopped)
        #expect(acts(machine.handle(start)) == [.queue(isAwaited: true)])
    }

    @Test("one that does not wake is given up like any that does not become ready")
    func doesNotWake() {
        for failure: Input in [.thawFailed("no"), .timer] {
            var machine = machine(suspend, .frozen(""), start)
            #expect(acts(machine.handle(failure)) == [.disarm, .remove])
            #expect(acts(machine.handle(.removed)) == [.arm(seconds: 1)])
            #expect(machine.state == .starting)
        }
    }

    @Test("a later orchestrator: what stands still is kept so, what was on its way is brought to its end")
    func adoption() {
        func adopted(_ state: MachineState, _ desired: DesiredState) -> (machine: MachineStateMachine, acts: [Effect]) {
            var machine = MachineStateMachine(state: state, desired: desired, wasReady: true)
            let effects = acts(machine.handle(.adopted(isStarted: true)))
            return (machine, effects)
        }
        var frozen = adopted(.suspended, .suspended)
        #expect(frozen.acts == [.freeze()] && frozen.machine.state == .suspended)
        #expect(frozen.machine.handle(.frozen("again")) == [] && frozen.machine.life == .frozen)
        #expect(adopted(.suspending, .suspended).acts == [.freeze()])
        // Started, and its orchestrator ended before it was thawed.
        var waking = adopted(.starting, .running)
        #expect(waking.acts == [.thaw, .arm(seconds: 60)])
        #expect(acts(waking.machine.handle(.thawed)) == [.probe(isDeep: true), .arm(seconds: 60)])
        // Told to stop, and its orchestrator ended before it was thawed: the signal thaws.
        #expect(adopted(.stopping, .stopped).acts == [.terminate, .arm(seconds: 5)])
        #expect(adopted(.destroying, .destroyed).acts == [.disarm, .remove])

        var gone = MachineStateMachine(state: .suspended, desired: .suspended, wasReady: true)
        _ = gone.handle(.lost)
        _ = gone.handle(.removed)
        #expect(gone.state == .stopped && gone.desired == .stopped)
        var without = MachineStateMachine(state: .suspended, desired: .suspended, wasReady: true)
        _ = without.handle(.found)
        #expect(without.state == .stopped && without.desired == .stopped)
    }
}
