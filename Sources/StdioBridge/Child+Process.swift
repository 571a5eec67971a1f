import CLinux
import Glibc
import MCP
import NIOCore

/// What the state machine asks for: processes, timers, ends.
extension Child {
    func perform(_ actions: [ChildStateMachine.Action]) {
        for action in actions {
            switch action {
            case .spawn: spawn()
            case .startHandshake: perform(back.start())
            case .flush: flush()
            case .closeInput: process?.closeInput()
            case .signal(let number): process?.signal(number)
            case .arm(let delay): arm(delay)
            case .disarm: timer?.cancel()
            case .failRunning(let reason): failRunning(reason)
            case .failWaiting(let reason): failWaiting(Undelivered(.notDelivered, reason))
            case .discardProcess: discardProcess()
            case .ended: ended()
            }
        }
        if actions.contains(.discardProcess), isAsleep { onAsleep?() }
    }

    func arm(_ delay: TimeAmount) {
        timer?.cancel()
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        timer = environment.loop.scheduleTask(in: delay) {
            let child = bound.value
            if child.machine.stage == .closing { child.backEnded() }
            if child.machine.awaitsExit, child.isDead() { return }
            child.perform(child.machine.timerFired(now: .now()))
        }
    }

    func failRunning(_ reason: String) {
        let cause = reason
        let reason = explained(reason)
        let (answers, actions) = back.processEnded()
        if !machine.isStopping { keep(answers) }
        for action in actions {
            if case .disarmTimer(let timer) = action { backTimers.removeValue(forKey: timer)?.cancel() }
            if case .notify(let id, let message) = action { _ = calls[id]?.notify(message, isLast: true) }
            if case .finish(let id, let outcome) = action, !machine.isStopping { calls.removeValue(forKey: id)?.finish(outcome) }
        }
        let lost = calls.values.sorted { $0.id.rawValue < $1.id.rawValue }
        calls = [:]
        for call in lost where call.isListen {
            call.isResumed = call.isAcknowledged
            parked.append(call)
        }
        for call in lost where !call.isListen {
            call.finish(.failed(Undelivered(call.mayHaveRun ? .outcomeUnknown : .notDelivered, reason, incident: incident(of: cause))))
        }
        stopIfDrained()
    }

    /// For as long as a client may take to come back for them.
    private func keep(_ answers: KeptAnswers) {
        guard !answers.isEmpty else { return }
        kept.add(answers)
        keptTimer?.cancel()
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        keptTimer = environment.loop.scheduleTask(in: environment.limits.input) { bound.value.forgetAnswers() }
    }

    func forgetAnswers() {
        keptTimer?.cancel()
        keptTimer = nil
        kept = KeptAnswers()
    }

    func failWaiting(_ why: Undelivered) {
        let isTold = !(waiting.isEmpty && identityWaiters.isEmpty) && why.reason != Self.noRoom
        let told = Undelivered(
            why.kind, explained(why.reason + printed(before: why.reason)), incident: isTold ? incident(of: why.reason) : nil)
        // Told now: whoever asks why the server did not start asks before it has ended.
        if let process, !machine.isStopping, !hasToldFailure {
            hasToldFailure = true
            environment.failed(ChildFailure(exit: nil, signal: nil, stderr: process.errors.lastLines, reason: why.reason))
        }
        let lost = waiting
        waiting = []
        for call in lost { call.finish(.failed(told)) }
        tellIdentity(.failure(told))
        stopIfDrained()
    }

    private static let shownErrors = 1024

    /// What a process that nobody could speak to has printed: of one that is silent a question, perhaps, whose answer it read from our
    /// lines.
    private func printed(before reason: String) -> String {
        guard environment.showsErrors, !machine.isStopping else { return "" }
        let line = lastNoise ?? process.map { shown($0.unendedLine) }
        guard let line, !line.isEmpty else { return "" }
        let silent = reason.contains("the handshake within") ? ", and may wait for an answer" : ""
        return "; it printed '\(line.prefix(80))' on standard output, which is for messages alone\(silent)"
    }

    /// With the server's last words in the lines below, where callers may see them.
    private func explained(_ reason: String) -> String {
        guard environment.showsErrors, !machine.isStopping else { return reason }
        let words = process?.errors.lastLines ?? lastWords
        guard !words.isEmpty else { return reason }
        return reason + "\n" + words.suffix(Self.shownErrors)
    }

    /// What callers who are not to see the server's standard error can ask an admin for: the log names it once, beside what the process
    /// wrote last. Nil where they see it, or where we end the process.
    private func incident(of reason: String) -> String? {
        guard !environment.showsErrors, !machine.isStopping else { return nil }
        if let incident { return incident }
        let new = String(RandomID.hex128().prefix(8))
        incident = new
        environment.log("incident \(new): \(reason)")
        return new
    }

    func spawn() {
        starts += 1
        incident = nil
        lastWords = ""
        hasToldFailure = false
        backSawEnd = false
        strays = 0
        lastNoise = nil
        switch environment.plan(key.session) {
        case .failure(let why):
            perform(machine.startFailed(why.reason, now: .now()))
        case .success(let plan):
            self.plan = plan
            let start = starts
            let bound = NIOLoopBound(self, eventLoop: environment.loop)
            let loop = environment.loop
            environment.reaper.spawn(plan) { result in
                loop.execute { bound.value.spawned(result, plan: plan, start: start) }
            } exited: { status in
                loop.execute { bound.value.exited(status, start: start) }
            }
        }
    }

    func spawned(_ result: Result<SpawnedProcess, SpawnFailure>, plan: SpawnPlan, start: Int) {
        switch result {
        case .failure(let failure):
            environment.log("server not started: \(failure)")
            perform(machine.startFailed(failure.description, now: .now()))
        case .success(let spawned):
            let process = ChildProcess(
                spawned, plan: plan, loop: environment.loop, reaper: environment.reaper, limits: environment.limits, owner: self)
            self.process = process
            tracer = environment.tracing.map { Tracer(bodies: $0.bodies, mask: plan.mask) }
            process.open(spawned) { [weak self] in
                guard let self, self.starts == start else { return }
                perform(machine.started())
                // A spare's time begins when it can be had: on a busy host its start alone may take as long as it may idle.
                if machine.stage == .parked { lastUse = .now() }
            } failed: { [environment] error in
                // Its exit ends this start, like any other.
                environment.log("the pipes of server process \(process.pid) could not be opened: \(error)")
                process.signal(SIGKILL)
            }
        }
    }

    /// Asks the kernel before a child whose output ended is called mute: on a busy host the reaper's news may be late.
    ///
    /// - Returns: true when it is dead, and has been taken to be so or will be by news that is on its way.
    private func isDead() -> Bool {
        guard let pid = process?.pid else { return false }
        var code: Int32 = 0
        var signal: Int32 = 0
        let found = clinux_peek_exit(pid, &code, &signal)
        if found == pid {
            exited(environment.reaper.status(code: code, signal: signal), start: starts)
        } else if found < 0 {
            arm(.milliseconds(20))
        }
        return found != 0
    }

    func exited(_ status: ExitStatus, start: Int) {
        guard start == starts else { return }
        perform(machine.exited(status, now: .now()))
    }

    func discardProcess() {
        for timer in backTimers.values { timer.cancel() }
        backTimers = [:]
        // Only the back itself knows that the next process is not to be probed.
        if !eraRestart {
            back = Self.newBack(era, opening, environment.limits)
            if let declared { back.declare(declared) }
            forgetDeclaration()
        }
        eraRestart = false
        guard let process else { return }
        self.process = nil
        lastWords = environment.showsErrors ? process.errors.lastLines : ""
        tracer = nil
        if isRenewing {
            // It ended before we could end it; what it failed with may be mended.
            endRenewal()
            perform(machine.renew(isWanted: false, now: .now()))
        }
        if served { untoldRestart = true }
        served = false
        report(process)
        process.discard()
        if let plan, let afterwards = plan.afterwards { cleanUp(afterwards) }
        plan = nil
        tellStopped()
    }

    func report(_ process: ChildProcess) {
        if machine.lostSpare, let exit = machine.lastExit { return environment.log("spare server process \(process.pid) \(exit)") }
        guard machine.failures > 0, !machine.diedStopping, let exit = machine.lastExit else { return }
        environment.log("server process \(process.pid) \(exit)")
        if hasToldFailure { return }
        var failure = ChildFailure(exit: nil, signal: nil, stderr: process.errors.lastLines, reason: "the server \(exit)")
        switch exit {
        case .code(let code): failure.exit = code
        case .signal(let number): failure.signal = number
        case .outOfMemory: failure.signal = SIGKILL
        }
        environment.failed(failure)
    }

    private static let cleanUpAttempts = 5
    private static let cleanUpPatience = TimeAmount.seconds(10)

    func cleanUp(_ afterwards: SpawnPlan.Afterwards, attempt: Int = 1) {
        cleanups += 1
        let loop = environment.loop
        let bound = NIOLoopBound(self, eventLoop: loop)
        // Only the last attempt has something to say: what the one before said may not hold any more.
        let output = attempt < Self.cleanUpAttempts ? SpawnPlan.nowhere : 2
        let plan = SpawnPlan(path: afterwards.path, arguments: afterwards.arguments, streams: .output(output))
        let timer = NIOLoopBoundBox<Scheduled<Void>?>(nil, eventLoop: loop)
        let reaper = environment.reaper
        reaper.spawn(plan) { result in
            loop.execute {
                switch result {
                case .success(let process):
                    timer.value = loop.scheduleTask(in: Self.cleanUpPatience) { reaper.signal(process.pid, SIGKILL) }
                case .failure(let failure): bound.value.cleanUpFailed(afterwards, attempt: attempt, failure.description)
                }
            }
        } exited: { status in
            loop.execute {
                timer.value?.cancel()
                switch status {
                case .code(0): bound.value.cleanedUp(afterwards)
                // Somebody works against it: the seat must not wait for the end of that.
                case .code(SpawnPlan.Afterwards.outOfTime), .signal, .outOfMemory: bound.value.cleanUpFailed(afterwards, attempt: .max, "\(status)")
                case .code: bound.value.cleanUpFailed(afterwards, attempt: attempt, "\(status)")
                }
            }
        }
    }

    func cleanUpFailed(_ afterwards: SpawnPlan.Afterwards, attempt: Int, _ reason: String) {
        if attempt < Self.cleanUpAttempts {
            cleanups -= 1
            return cleanUp(afterwards, attempt: attempt + 1)
        }
        environment.log("clean-up after a server failed: \(reason)")
        cleanedUp(afterwards, succeeded: false)
    }

    func cleanedUp(_ afterwards: SpawnPlan.Afterwards, succeeded: Bool = true) {
        cleanups -= 1
        environment.cleanedUp(afterwards, succeeded)
        tellStopped()
    }
}
