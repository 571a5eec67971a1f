import MachineAPI
import Testing

@testable import Orchestrator

/// Another configuration for a machine, as the state machine decides it.
struct MachineUpdateTests {
    typealias Input = MachineStateMachine.Input
    typealias Effect = MachineStateMachine.Effect

    private func acts(_ effects: [Effect]) -> [Effect] { effects.filter { if case .record = $0 { false } else { true } } }

    private func up() -> MachineStateMachine {
        var machine = MachineStateMachine(state: .created, desired: .stopped)
        for input: Input in [.start(source: "user"), .turn, .booted, .ready] { _ = machine.handle(input) }
        return machine
    }

    private let update = Input.update(source: "user", launches: true)

    @Test("a running machine is replaced in place, and the trial ends when it is ready")
    func replaced() {
        var machine = up()
        #expect(acts(machine.handle(update)) == [.terminate, .arm(seconds: 5)])
        #expect(machine.state == .replacing && machine.isOnTrial)
        #expect(acts(machine.handle(.exited(MachineEnd(code: 0), seconds: 9))) == [.disarm, .remove])
        #expect(acts(machine.handle(.removed)) == [.queue(isAwaited: true)])
        #expect(acts(machine.handle(.turn)) == [.boot])
        _ = machine.handle(.booted)
        #expect(machine.isOnTrial)
        _ = machine.handle(.ready)
        #expect(machine.state == .started && !machine.isOnTrial)
    }

    @Test("one that does not become ready gives way to the configuration before it, at its first failure")
    func rolledBack() {
        for failure: Input in [.notReady("broken"), .timer, .exited(MachineEnd(code: 1), seconds: 0), .exited(MachineEnd(code: 0), seconds: 0)] {
            var machine = up()
            for input in [update, .exited(MachineEnd(code: 0), seconds: 9), .removed, .turn, .booted] { _ = machine.handle(input) }
            #expect(acts(machine.handle(failure)) == [.disarm, .remove])
            #expect(acts(machine.handle(.removed)) == [.fallBack, .queue(isAwaited: false)])
            #expect(!machine.isOnTrial && machine.desired == .running)
            // The old one gets no second way back.
            for input: Input in [.turn, .booted, .notReady("broken too")] { _ = machine.handle(input) }
            #expect(acts(machine.handle(.removed)) == [.arm(seconds: 1)])
        }
    }

    @Test("one that cannot even be made gives way as well")
    func notMade() {
        var machine = up()
        for input in [update, .exited(MachineEnd(code: 0), seconds: 9), .removed, .turn, .bootFailed("no image")] { _ = machine.handle(input) }
        #expect(acts(machine.handle(.removed)).first == .fallBack)
    }

    @Test("without a launch it waits for the next boot; a stopped one is started, and has nothing to go back to")
    func others() {
        var machine = up()
        #expect(acts(machine.handle(.update(source: "user", launches: false))) == [])
        #expect(machine.state == .started && !machine.isOnTrial)
        var stopped = MachineStateMachine(state: .stopped, desired: .stopped, wasReady: true)
        #expect(acts(stopped.handle(.update(source: "user", launches: false))) == [])
        #expect(acts(stopped.handle(update)) == [.queue(isAwaited: true)])
        #expect(!stopped.isOnTrial)
    }

    @Test("a suspended machine is waked to end in order")
    func suspended() {
        var machine = up()
        for input: Input in [.suspend(source: "user"), .frozen("")] { _ = machine.handle(input) }
        #expect(acts(machine.handle(update)) == [.terminate, .arm(seconds: 5)])
        #expect(machine.desired == .running)
    }

    @Test("a stop during the trial is a stop, and the trial goes on with the next start")
    func stopped() {
        var machine = up()
        for input in [update, .exited(MachineEnd(code: 0), seconds: 9), .removed, .turn, .booted, .stop(source: "user"), .timer, .removed] {
            _ = machine.handle(input)
        }
        #expect(machine.state == .stopped && machine.isOnTrial)
        for input: Input in [.start(source: "user"), .turn, .booted, .notReady("broken")] { _ = machine.handle(input) }
        #expect(acts(machine.handle(.removed)).first == .fallBack)
    }
}
