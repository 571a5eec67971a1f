import MachineAPI
import TestSupport
import Testing

@testable import Orchestrator

struct MachineStateMachineTests {
    typealias Input = MachineStateMachine.Input
    typealias Effect = MachineStateMachine.Effect

    /// What is done, without the records.
    private func acts(_ effects: [Effect]) -> [Effect] {
        effects.filter { if case .record = $0 { false } else { true } }
    }

    private func records(_ effects: [Effect]) -> [String] {
        effects.compactMap { if case .record(let type, let status, _, _) = $0 { "\(type)/\(status)" } else { nil } }
    }

    private func fresh(
        _ state: MachineState = .created, desired: DesiredState = .stopped, policy: MachineStateMachine.Policy = .init()
    ) -> MachineStateMachine {
        MachineStateMachine(state: state, desired: desired, policy: policy)
    }

    private func up(_ policy: MachineStateMachine.Policy = .init()) -> MachineStateMachine {
        var machine = fresh(policy: policy)
        for input: Input in [.start(source: "user"), .turn, .booted, .ready] { _ = machine.handle(input) }
        return machine
    }

    @Test("a start boots, asks for readiness, and is started when the answer is yes")
    func start() {
        var machine = fresh()
        #expect(acts(machine.handle(.start(source: "user"))) == [.queue(isAwaited: true)])
        #expect(machine.state == .starting && machine.desired == .running)
        #expect(acts(machine.handle(.turn)) == [.boot])
        #expect(acts(machine.handle(.booted)) == [.probe(isDeep: true), .arm(seconds: 60)])
        #expect(machine.state == .starting)
        let ready = machine.handle(.ready)
        #expect(acts(ready) == [.disarm] && records(ready) == ["start/started"])
        #expect(machine.state == .started && machine.wasReady)
    }

    @Test("start of a running machine and stop of a stopped one change nothing")
    func noOps() {
        var machine = up()
        #expect(machine.handle(.start(source: "user")) == [])
        var stopped = fresh(.stopped)
        #expect(stopped.handle(.stop(source: "user")) == [])
    }

    @Test("a stop tells it to end, waits for its end, removes it; a deaf one is removed by the timer")
    func stop() {
        for ending: Input in [.exited(MachineEnd(code: 0), seconds: 1), .timer] {
            var machine = up(.init(stopSeconds: 7))
            #expect(acts(machine.handle(.stop(source: "user"))) == [.terminate, .arm(seconds: 7)])
            #expect(machine.state == .stopping)
            #expect(acts(machine.handle(ending)) == [.disarm, .remove])
            #expect(records(machine.handle(.removed)) == ["stop/stopped"])
            #expect(machine.state == .stopped && machine.desired == .stopped && machine.life == .none)
        }
    }

    @Test("a start while it stops is queued behind the removal")
    func queuedStart() {
        var machine = up()
        _ = machine.handle(.stop(source: "user"))
        #expect(acts(machine.handle(.start(source: "user"))) == [])
        _ = machine.handle(.exited(MachineEnd(code: 0), seconds: 1))
        #expect(acts(machine.handle(.removed)) == [.queue(isAwaited: true)])
        #expect(machine.state == .starting)
    }

    @Test("a stop during creation takes effect when the creation is over")
    func stopWhileBooting() {
        var machine = fresh()
        for input: Input in [.start(source: "user"), .turn] { _ = machine.handle(input) }
        #expect(acts(machine.handle(.stop(source: "user"))) == [])
        #expect(machine.state == .stopping)
        #expect(acts(machine.handle(.booted)) == [.disarm, .remove])
        _ = machine.handle(.removed)
        #expect(machine.state == .stopped)
    }

    @Test("on-failure: back-off 1, 2, 4 … 60 s, ten tries, then failed")
    func backOff() {
        var machine = up()
        var waits: [Int64] = []
        for _ in 0..<10 {
            _ = machine.handle(.exited(MachineEnd(code: 1), seconds: 1))
            let again = acts(machine.handle(.removed))
            guard case .arm(let seconds) = again.first else { Issue.record("\(again)"); return }
            waits.append(seconds)
            #expect(machine.state == .starting)
            #expect(acts(machine.handle(.timer)) == [.queue(isAwaited: false)])
            for input: Input in [.turn, .booted, .ready] { _ = machine.handle(input) }
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60])
        _ = machine.handle(.exited(MachineEnd(code: 1), seconds: 1))
        #expect(acts(machine.handle(.removed)) == [])
        #expect(machine.state == .failed && machine.desired == .stopped)
        #expect(machine.reason == "gave up after 11 tries: exit code 1")
    }

    @Test("auto_destroy: a machine that came to its end goes for good; one that will be tried again does not, nor one that is held")
    func destroysItself() {
        for (code, policy) in [(Int32(0), MachineConfig.Restart.Policy.onFailure), (1, .no)] {
            var machine = up(.init(restart: policy, destroysItself: true))
            _ = machine.handle(.exited(MachineEnd(code: code), seconds: 1))
            #expect(acts(machine.handle(.removed)) == [.erase])
            #expect(machine.state == .destroyed && machine.desired == .destroyed)
        }
        var stopped = up(.init(destroysItself: true))
        for input: Input in [.stop(source: "user"), .timer] { _ = stopped.handle(input) }
        #expect(acts(stopped.handle(.removed)) == [.erase])
        var retried = up(.init(destroysItself: true))
        _ = retried.handle(.exited(MachineEnd(code: 1), seconds: 1))
        #expect(acts(retried.handle(.removed)) == [.arm(seconds: 1)])
        var held = up(.init(destroysItself: true))
        for input: Input in [.hold, .timer] { _ = held.handle(input) }
        #expect(acts(held.handle(.removed)) == [] && held.state == .stopped && held.desired == .running)
    }

    @Test("five minutes up give all tries back")
    func forgiven() {
        var machine = up()
        machine.attempts = 9
        _ = machine.handle(.exited(MachineEnd(signal: 9), seconds: 301))
        _ = machine.handle(.removed)
        #expect(machine.attempts == 1)
    }

    @Test(
        "restart policies",
        arguments: [
            (MachineConfig.Restart.Policy.no, Int32(1), MachineState.failed), (.no, 0, .stopped), (.onFailure, 0, .stopped),
            (.onFailure, 1, .starting),
            (.always, 0, .starting), (.always, 1, .starting),
        ])
    func policies(policy: MachineConfig.Restart.Policy, code: Int32, state: MachineState) {
        var machine = up(.init(restart: policy))
        let exit = machine.handle(.exited(MachineEnd(code: code), seconds: 1))
        #expect(records(exit) == ["exit/stopped"] && machine.state == .stopping)
        _ = machine.handle(.removed)
        #expect(machine.state == state)
    }

    @Test("what never was ready is tried twice")
    func neverReady() {
        var machine = fresh()
        _ = machine.handle(.start(source: "user"))
        for attempt in 0..<2 {
            for input: Input in [.turn, .booted] { _ = machine.handle(input) }
            #expect(acts(machine.handle(.notReady("no such module"))) == [.disarm, .remove])
            let after = acts(machine.handle(.removed))
            #expect(after == (attempt == 0 ? [.arm(seconds: 1)] : []))
            if attempt == 0 { _ = machine.handle(.timer) }
        }
        #expect(machine.state == .failed)
        #expect(machine.reason == "gave up after 2 tries: no such module")
        // A new start has its tries back.
        #expect(acts(machine.handle(.start(source: "user"))) == [.queue(isAwaited: true)])
        #expect(machine.attempts == 0)
    }

    @Test("the start deadline ends a boot that does not become ready")
    func startDeadline() {
        var machine = fresh()
        for input: Input in [.start(source: "user"), .turn, .booted] { _ = machine.handle(input) }
        #expect(acts(machine.handle(.timer)) == [.disarm, .remove])
        #expect(machine.reason == "not ready within 60 s")
    }

    @Test("who waits for its turn has made nothing: it stops and goes at once, and a turn that comes too late begins nothing")
    func queued() {
        for (end, state): (Input, MachineState) in [(.stop(source: "user"), .stopped), (.hold, .stopped), (.destroy(source: "user"), .destroyed)] {
            var machine = fresh()
            _ = machine.handle(.start(source: "berth"))
            #expect(acts(machine.handle(.timer)) == [], "waiting eats nothing of its time")
            #expect(acts(machine.handle(end)) == (state == .destroyed ? [.disarm, .erase] : [.disarm]))
            #expect(machine.state == state && machine.life == .none)
            #expect(machine.handle(.turn) == [])
        }
        for call: Input in [.start(source: "user"), .awaited] {
            var called = fresh()
            #expect(acts(called.handle(.start(source: "berth"))) == [.queue(isAwaited: false)])
            #expect(called.handle(call) == [.queue(isAwaited: true)], "somebody waits for it now")
            #expect(called.handle(call) == [])
        }
        var called = fresh()
        #expect(called.handle(.awaited) == [], "nobody starts it by waiting")
        _ = called.handle(.start(source: "user"))
        #expect(acts(called.handle(.turn)) == [.boot])
        #expect(called.handle(.turn) == [])
    }

    @Test("an end that is reported before the start is not lost")
    func earlyEnd() {
        var machine = fresh()
        for input: Input in [.start(source: "user"), .turn] { _ = machine.handle(input) }
        #expect(machine.handle(.exited(MachineEnd(code: 3), seconds: 0)) == [])
        #expect(acts(machine.handle(.booted)) == [.disarm, .remove])
        #expect(machine.reason == "exit code 3")
    }

    @Test("memory's end has its own event")
    func outOfMemory() {
        var machine = up()
        #expect(records(machine.handle(.exited(MachineEnd(signal: 9, isOutOfMemory: true), seconds: 1))) == ["oom/stopped"])
    }

    @Test("destroy removes from any state and erases when nothing is left")
    func destroy() {
        var running = up()
        #expect(acts(running.handle(.destroy(source: "user"))) == [.disarm, .remove])
        #expect(running.state == .destroying)
        #expect(running.handle(.start(source: "user")) == [])
        #expect(acts(running.handle(.removed)) == [.erase])
        #expect(running.state == .destroyed)

        var idle = fresh(.stopped)
        #expect(acts(idle.handle(.destroy(source: "user"))) == [.disarm, .erase])

        var waiting = up()
        _ = waiting.handle(.exited(MachineEnd(code: 1), seconds: 1))
        _ = waiting.handle(.removed)
        #expect(acts(waiting.handle(.destroy(source: "user"))) == [.disarm, .erase])
        #expect(waiting.life == .none, "its share of the host's memory is given back")

        var booting = fresh()
        for input: Input in [.start(source: "user"), .turn] { _ = booting.handle(input) }
        #expect(acts(booting.handle(.destroy(source: "user"))) == [])
        #expect(acts(booting.handle(.booted)) == [.disarm, .remove])
        #expect(acts(booting.handle(.removed)) == [.erase])
    }

    @Test("what cannot be removed is tried again, and keeps the machine from booting")
    func stuck() {
        var machine = up()
        _ = machine.handle(.restart(source: "user"))
        _ = machine.handle(.exited(MachineEnd(code: 0), seconds: 1))
        #expect(acts(machine.handle(.removeFailed("cgroup busy"))) == [.arm(seconds: 5)])
        #expect(acts(machine.handle(.start(source: "user"))) == [])
        #expect(acts(machine.handle(.timer)) == [.disarm, .remove])
        #expect(acts(machine.handle(.removed)) == [.queue(isAwaited: true)])
    }

    @Test("held for `down`, it stops, and its row still wants it to run")
    func hold() {
        var machine = up()
        #expect(acts(machine.handle(.hold)) == [.terminate, .arm(seconds: 5)])
        _ = machine.handle(.exited(MachineEnd(code: 0), seconds: 1))
        #expect(acts(machine.handle(.removed)) == [])
        #expect(machine.state == .stopped && machine.desired == .running)

        var oneShot = MachineStateMachine(state: .started, desired: .running, isHeld: true)
        #expect(acts(oneShot.handle(.adopted(isStarted: true))) == [.terminate, .arm(seconds: 5)])
        _ = oneShot.handle(.exited(MachineEnd(code: 0), seconds: 0))
        #expect(acts(oneShot.handle(.removed)) == [])
        #expect(oneShot.state == .stopped && oneShot.desired == .running)
        var idle = MachineStateMachine(state: .stopped, desired: .running, isHeld: true)
        #expect(acts(idle.handle(.found)) == [])

        var broken = fresh(.failed, desired: .stopped)
        broken.reason = "exit code 1"
        #expect(broken.handle(.hold) == [] && broken.state == .failed && broken.reason == "exit code 1", "why it failed stays")

        var next = fresh(machine.state, desired: machine.desired)
        #expect(acts(next.handle(.found)) == [.queue(isAwaited: false)])
    }

    @Test("adoption: what runs goes on, what is half made is made anew without a penalty, what is unwanted goes")
    func adoption() {
        var serving = fresh(.started, desired: .running)
        #expect(acts(serving.handle(.adopted(isStarted: true))) == [.probe(isDeep: false), .arm(seconds: 60)])
        #expect(serving.state == .started)
        _ = serving.handle(.ready)
        #expect(serving.life == .up)

        var starting = fresh(.starting, desired: .running)
        #expect(acts(starting.handle(.adopted(isStarted: true))) == [.probe(isDeep: true), .arm(seconds: 60)])

        for state in [MachineState.stopping, .replacing] {
            // A restart, or an update on trial, whose old boot was still alive when its orchestrator died.
            var replaced = fresh(state, desired: .running)
            replaced.isOnTrial = state == .replacing
            #expect(acts(replaced.handle(.adopted(isStarted: true))) == [.terminate, .arm(seconds: 5)], "\(state)")
            #expect(acts(replaced.handle(.exited(MachineEnd(code: 0), seconds: 9))) == [.disarm, .remove])
            #expect(acts(replaced.handle(.removed)) == [.queue(isAwaited: false)], "what was asked for, and not what was before")
            #expect(replaced.isOnTrial == (state == .replacing) && replaced.attempts == 0)
        }

        var half = fresh(.starting, desired: .running)
        #expect(acts(half.handle(.adopted(isStarted: false))) == [.disarm, .remove])
        #expect(acts(half.handle(.removed)) == [.queue(isAwaited: false)])
        #expect(half.attempts == 0)

        var unwanted = fresh(.stopping, desired: .stopped)
        #expect(acts(unwanted.handle(.adopted(isStarted: true))) == [.terminate, .arm(seconds: 5)])
        #expect(acts(unwanted.handle(.timer)) == [.disarm, .remove])
        _ = unwanted.handle(.removed)
        #expect(unwanted.state == .stopped)

        var gone = fresh(.started, desired: .running)
        #expect(acts(gone.handle(.lost)) == [.disarm, .remove])
        #expect(acts(gone.handle(.removed)) == [.queue(isAwaited: false)])

        var doomed = fresh(.destroying, desired: .destroyed)
        #expect(acts(doomed.handle(.found)) == [.erase])
    }

    @Test("any order of inputs leaves at most one boot, and a destroyed machine stays destroyed", arguments: 0..<40)
    func anyOrder(seed: Int) {
        var generator = SplitMix(state: UInt64(seed))
        var machine = fresh()
        // The shell's part: at most one creation or removal under way, each answered once.
        var work: Effect?
        for _ in 0..<400 {
            let requests: [Input] = [.start(source: "u"), .stop(source: "u"), .restart(source: "u"), .turn, .timer, .ready, .notReady("x")]
            var inputs = requests
            switch work {
            case .boot: inputs += [.booted, .bootFailed("x"), .exited(MachineEnd(code: 1), seconds: 0)]
            case .remove: inputs += [.removed, .removeFailed("x")]
            default: inputs += [.exited(MachineEnd(code: 1), seconds: 1)]
            }
            if Int.random(in: 0..<60, using: &generator) == 0 { inputs = [.destroy(source: "u")] }
            guard let input = inputs.randomElement(using: &generator) else { continue }
            switch input {
            case .booted, .bootFailed, .removed, .removeFailed: work = nil
            default: break
            }
            let wasDestroyed = machine.state == .destroyed
            for effect in machine.handle(input) where effect == .boot || effect == .remove {
                #expect(work == nil, "\(input) asked for \(effect) while \(String(describing: work)) was under way")
                work = effect
            }
            if wasDestroyed { #expect(machine.state == .destroyed) }
            if machine.state == .destroyed { #expect(machine.life == .none && work == nil); return }
        }
    }
}
