import Glibc
import Logging
import MachineAPI
import Sealing

/// Drives one machine: asks its state machine, writes the row and the events, then acts. Lives in its owner's task, whose
/// group holds everything that it starts until it is over.
struct MachineLoop {
    private var record: MachineRecord
    private var machine: MachineStateMachine
    private let host: MachineHost
    private let post: @Sendable (MachineOwner.Message) -> Void
    private var logger: Logger

    private var timer: Task<Void, Never>?
    private var timerNumber = 0
    private var probe: Task<Void, Never>?
    /// Looks whether anybody calls, while the machine is up and its configuration has an idle time.
    private var watch: (limit: MachineConfig.Idle, boot: String, task: Task<Void, Never>)?
    /// The creation or removal under way: one at a time.
    private var work: Task<Void, Never>?
    private var readySince: ContinuousClock.Instant?
    /// Of the start under way.
    private var clock: StartClock?
    private(set) var isOver = false

    init(_ record: MachineRecord, host: MachineHost, isHeld: Bool, post: @escaping @Sendable (MachineOwner.Message) -> Void) {
        self.record = record
        self.host = host
        self.post = post
        machine = MachineStateMachine(
            state: record.state, desired: record.desired, attempts: record.attempts, wasReady: record.wasReady, reason: record.reason,
            policy: record.config.policy, isHeld: isHeld, isOnTrial: record.fallback != nil)
        logger = host.logger
        logger[metadataKey: "machine"] = "\(record.id)"
        logger[metadataKey: "app"] = "\(record.app)"
    }

    mutating func handle(_ message: MachineOwner.Message, in group: inout DiscardingTaskGroup) async {
        guard !isOver else { message.reply?(.failure(MachineFailure.unknownMachine(record.id))); return }
        if let boot = message.boot, boot != record.boot?.boot { return }
        if let timer = message.timer, timer != timerNumber { return }
        if message.input == .removed { record.boot = nil }
        if message.input == .ready {
            clock?.mark(.server)
            Failpoint.hit("ready")
        }

        let before = record
        var input = message.input
        if let change = message.change {
            do {
                input = try change(&record)
            } catch {
                record = before
                message.reply?(.failure(error))
                return
            }
            machine.policy = record.config.policy
        }
        if let input {
            do {
                // Before what runs is ended for it.
                if case .update(_, launches: true) = input { try host.check(record.config) }
                if machine.startsBoot(input) || record.memoryBytes > before.memoryBytes && machine.life != .none {
                    try host.admit(record.id, record.config)
                }
            } catch {
                // As if nobody had asked.
                record = before
                machine.policy = before.config.policy
                message.reply?(.failure(error))
                return
            }
        }
        if case .exited(let end, _) = input { input = .exited(end, seconds: readySince?.duration(to: .now).components.seconds ?? 0) }
        let effects = input.map { machine.handle($0) } ?? []
        settleTrial(effects)
        do {
            try await save(effects, since: before, after: input)
            message.reply?(.success(()))
        } catch {
            // What runs is not undone for want of a row: the next start of the orchestrator finds out by the cgroup.
            logger.error("a machine's row was not written", metadata: ["error": "\(error)"])
            message.reply?(.failure(error))
        }
        if machine.life == .up, readySince == nil { readySince = .now }
        settleShare(message.input)
        if machine.life != .up { readySince = nil }
        if machine.life != .probing { probe?.cancel() }
        if ![.queued, .booting, .probing].contains(machine.life) { host.starts.leave(record.id) }
        for effect in effects { await perform(effect, in: &group) }
        watchIdleness(in: &group)
        // After the effects: who waited for `destroyed` may look at the host, and a new boot has its door.
        host.hub.publish(record)
    }

    /// What it holds of the host's memory: from before its boot until nothing is left of it.
    private func settleShare(_ input: MachineStateMachine.Input?) {
        switch (machine.life, input) {
        case (.none, _): host.budget.release(record.id)
        case (_, .adopted): host.budget.hold(record.id, bytes: record.memoryBytes)
        case (.up, _): host.budget.settle(record.id)
        default: break
        }
    }

    /// The inbox is closed: only what is under way on the host goes on to its end.
    func end() {
        host.starts.leave(record.id)
        watch?.task.cancel()
        timer?.cancel()
        probe?.cancel()
    }

    // MARK: Row

    /// An update that has been ready is for good; one that failed gives the configuration back that was there before.
    private mutating func settleTrial(_ effects: [MachineStateMachine.Effect]) {
        guard let fallback = record.fallback, !machine.isOnTrial else { return }
        record.fallback = nil
        guard effects.contains(.fallBack) else { return }
        record.instance = fallback.instance
        record.config = fallback.config
        machine.policy = record.config.policy
    }

    private mutating func save(
        _ effects: [MachineStateMachine.Effect], since before: MachineRecord, after input: MachineStateMachine.Input?
    ) async throws {
        record.state = machine.state
        record.desired = machine.desired
        record.attempts = machine.attempts
        record.wasReady = machine.wasReady
        record.reason = machine.reason
        if record.state != before.state { record.stateSince = WallClock.milliseconds() }
        let now = WallClock.milliseconds()
        let events = effects.compactMap { effect -> MachineEvent? in
            guard case .record(let type, let status, let source, let reason) = effect else { return nil }
            var fields: Logger.Metadata = ["status": "\(status)", "source": "\(source)"]
            if let reason { fields["reason"] = "\(reason)" }
            logger.info("machine: \(type)", metadata: fields)
            var event = MachineEvent(type: type, status: status, source: source, reason: reason, at: now)
            if case .exited(let end, _) = input, type == "exit" || type == "oom" {
                event.request = .init(exit_event: end.told(isRequested: before.state == .stopping || before.state == .replacing, at: now))
            }
            if type == "start", status == "started", let stages = clock?.stages { event.request = .init(start_event: stages) }
            return event
        }
        guard record != before || !events.isEmpty else { return }
        record.updatedAt = now
        for attempt in 1... {
            do {
                return try await host.store.save(record, events: events)
            } catch where attempt < 4 {
                logger.warning("a machine's row is written again", metadata: ["error": "\(error)"])
                try await Task.sleep(for: .milliseconds(250))
            }
        }
    }

    // MARK: Effects

    private mutating func perform(_ effect: MachineStateMachine.Effect, in group: inout DiscardingTaskGroup) async {
        switch effect {
        case .queue(let isAwaited): host.starts.enter(record.id, isAwaited: isAwaited) { [post] in post(.init(input: .turn)) }
        case .boot: await boot(in: &group)
        case .probe(let isDeep): ask(isDeep: isDeep && record.config.metadata?["berth_ready"] != "agent", in: &group)
        case .close(let seconds): close(idleSeconds: seconds, in: &group)
        case .freeze(let seconds): freeze(idleSeconds: seconds, in: &group)
        case .cancelFreeze: work?.cancel()
        case .thaw: thaw(in: &group)
        case .terminate: terminate(in: &group)
        case .remove: remove(in: &group)
        case .arm(let seconds): arm(seconds, in: &group)
        case .disarm: disarm()
        case .erase: erase()
        case .record, .fallBack: break
        }
        if case .record(_, "started", _, _) = effect { settle(in: &group) }
    }

    /// The row first; then the machine.
    private mutating func boot(in group: inout DiscardingTaskGroup) async {
        do {
            try host.admit(record.id, record.config)
        } catch {
            post(.init(input: .noRoom("\(error)")))
            return
        }
        let boot = ULID().description
        let clock = StartClock()
        self.clock = clock
        do {
            record.boot = try await host.store.beginBoot(
                machine: record.id, boot: boot, kind: .machine, door: host.door(boot), at: WallClock.milliseconds())
        } catch {
            post(.init(input: .bootFailed("\(error)")))
            return
        }
        clock.mark(.row)
        Failpoint.hit("row")
        guard let row = record.boot else { return }
        work = start(in: &group) { [host, record, post] in
            do {
                try await host.make(record, row, clock)
                post(.init(input: .booted, boot: boot))
            } catch {
                post(.init(input: .bootFailed("\(error)"), boot: boot))
            }
        }
    }

    private mutating func ask(isDeep: Bool, in group: inout DiscardingTaskGroup) {
        guard let boot = record.boot, let door = boot.door else { return }
        probe?.cancel()
        probe = start(in: &group) { [host, record, post] in
            var refusals = 0
            var pause = Duration.milliseconds(50)
            do {
                let (keys, org) = try await host.keys(record, boot)
                while !Task.isCancelled {
                    switch await host.probe.ask("unix:\(door)", keys: keys, org: org, isDeep: isDeep) {
                    case .yes:
                        return post(.init(input: .ready, boot: boot.boot))
                    case .no(let why):
                        // Each answer took a whole try of the server: three tell enough.
                        refusals += 1
                        if refusals == 3 { return post(.init(input: .notReady(why), boot: boot.boot)) }
                    case .silence:
                        break
                    }
                    try await Task.sleep(for: pause)
                    pause = min(pause * 2, .seconds(2))
                }
            } catch is CancellationError {
                return
            } catch {
                post(.init(input: .notReady("\(error)"), boot: boot.boot))
            }
        }
    }

    /// Ready: from here on it gets the processor time that its configuration says.
    private mutating func settle(in group: inout DiscardingTaskGroup) {
        guard let boot = record.boot else { return }
        clock = nil
        host.runtime.observeLog(boot.machine, boot: boot.boot, nil)
        group.addTask { [host, logger, cpus = record.config.limits.cpus] in
            do {
                try await host.runtime.update(boot.machine, boot: boot.boot, cpus: cpus)
            } catch {
                logger.warning("processor time was not set", metadata: ["error": "\(error)"])
            }
        }
    }

    private func terminate(in group: inout DiscardingTaskGroup) {
        guard let boot = record.boot else { return }
        group.addTask { [host, logger] in
            do {
                // What stands still hears nothing.
                try? await host.runtime.thaw(boot.machine, boot: boot.boot)
                try await host.runtime.signal(boot.machine, boot: boot.boot, SIGTERM)
            } catch {
                // It ended by itself, and its exit is on its way; if not, the timer kills.
                logger.debug("no signal to a machine", metadata: ["error": "\(error)"])
            }
        }
    }

    private mutating func watchIdleness(in group: inout DiscardingTaskGroup) {
        let wanted = machine.life == .up && !machine.isHeld ? machine.policy.idle : nil
        if let watch, watch.limit != wanted || watch.boot != record.boot?.boot {
            watch.task.cancel()
            self.watch = nil
        }
        guard watch == nil, let wanted, let boot = record.boot else { return }
        let task = start(in: &group) { [host, record, post] in
            await host.watchIdleness(record, boot, limit: .seconds(wanted.seconds), since: record.stateSince) { seconds in
                guard await host.minimum.mayEnd(record, host.store) else { return }
                post(.init(input: .idle(seconds: seconds), boot: boot.boot))
            }
        }
        watch = (wanted, boot.boot, task)
    }

    private mutating func close(idleSeconds: Int64, in group: inout DiscardingTaskGroup) {
        guard let boot = record.boot else { return }
        work = start(in: &group) { [host, record, post] in
            do {
                try await host.close(record, boot, idleSeconds: idleSeconds)
                post(.init(input: .closed, boot: boot.boot))
            } catch {
                post(.init(input: .closeFailed("\(error)"), boot: boot.boot))
            }
        }
    }

    private mutating func freeze(idleSeconds: Int64?, in group: inout DiscardingTaskGroup) {
        guard let boot = record.boot else { return }
        work = start(in: &group) { [host, record, post] in
            do {
                post(.init(input: .frozen(try await host.suspend(record, boot, idleSeconds: idleSeconds)), boot: boot.boot))
            } catch {
                post(.init(input: .freezeFailed(Task.isCancelled ? "not suspended: it was needed meanwhile" : "\(error)"), boot: boot.boot))
            }
        }
    }

    private mutating func thaw(in group: inout DiscardingTaskGroup) {
        guard let boot = record.boot else { return }
        work = start(in: &group) { [host, post] in
            do {
                try await host.resume(boot)
                post(.init(input: .thawed, boot: boot.boot))
            } catch {
                post(.init(input: .thawFailed("\(error)"), boot: boot.boot))
            }
        }
    }

    private mutating func remove(in group: inout DiscardingTaskGroup) {
        guard let boot = record.boot else { return post(.init(input: .removed)) }
        let before = work
        work = start(in: &group) { [host, post] in
            await before?.value
            do {
                try await host.runtime.remove(boot.machine, boot: boot.boot)
                await host.relays?.close(boot.machine)
                await host.probe.forget(machine: boot.machine, boot: boot.boot)
                Failpoint.hit("remove")
                try await host.store.endBoot(boot.boot)
                post(.init(input: .removed, boot: boot.boot))
            } catch {
                post(.init(input: .removeFailed("\(error)"), boot: boot.boot))
            }
        }
    }

    private mutating func arm(_ seconds: Int64, in group: inout DiscardingTaskGroup) {
        disarm()
        let number = timerNumber
        timer = start(in: &group) { [post] in
            guard (try? await Task.sleep(for: .seconds(seconds))) != nil else { return }
            post(.init(input: .timer, timer: number))
        }
    }

    /// A task that can be cancelled or awaited by itself, and that the group waits for.
    private func start(in group: inout DiscardingTaskGroup, _ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        let task = Task { await body() }
        group.addTask { await task.value }
        return task
    }

    private mutating func disarm() {
        timer?.cancel()
        timer = nil
        timerNumber += 1
    }

    private mutating func erase() {
        disarm()
        host.runtime.discardLog(record.id)
        isOver = true
    }
}
