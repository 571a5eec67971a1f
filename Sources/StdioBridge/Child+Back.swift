import Glibc
import MCP
import NIOCore

/// What the protocol's state machine asks for: lines to write, calls to end, identities to tell.
extension Child {
    func perform(_ actions: [BackAction], writing call: ChildCall? = nil) {
        for action in actions {
            switch action {
            case .write(let line): write(line, call: call)
            case .notify(let id, let message): notify(id, message)
            case .finish(let id, let outcome):
                // A call that was given up has left the table: its end says nothing of the server. Neither do words of our own.
                guard let call = calls[id] else { continue }
                if call.request.isOwn {
                    finish(id, outcome)
                } else {
                    machine.answered()
                    finish(id, told(outcome))
                }
            case .ready(let identity, let era):
                // What a spare was told is told from here on.
                lastUse = .now()
                // Of one that is to be replaced by another nothing is learned.
                if !isRenewing {
                    self.identity = identity
                    self.era = era
                    onEraKnown?(era)
                }
                perform(machine.handshaken())
            case .restartForEra:
                restartForEra()
                // One that is silent has done nothing for anybody.
                process?.signal(SIGKILL)
            case .handshakeFailed(let reason):
                forgetEra()
                perform(machine.handshakeFailed(masked(reason)))
            case .noise(let line, let isStray): keep(noise: line, isStray: isStray)
            case .armTimer(let timer, let seconds): arm(timer, seconds)
            case .disarmTimer(let timer): backTimers.removeValue(forKey: timer)?.cancel()
            case .broadcast: break
            }
        }
    }

    /// The first answer of a new process tells that the server's state was lost.
    func told(_ outcome: MCPOutcome) -> MCPOutcome {
        guard case .result(let result) = outcome else { return outcome }
        served = true
        noteQuestion(outcome)
        // Of a question only what is asked reaches every client.
        guard untoldRestart, !outcome.asksClient else { return outcome }
        untoldRestart = false
        return .result(RestartMark.added(to: result))
    }

    func write(_ line: ByteBuffer, call: ChildCall?) {
        if let text = tracer?.sent(line) { show(text) }
        let id = call?.id
        let taken = process?.write(line) { [weak call, weak self] whole in
            if whole {
                call?.wasWritten()
            } else if let id, let call {
                self?.finish(id, .failed(Undelivered(call.mayHaveRun ? .outcomeUnknown : .notDelivered, "the server closed its input")))
            }
        }
        if taken == true { tap(line, isSent: true) }
        if taken != true, let id, let call {
            let actions = back.cancel(id)
            finish(id, .failed(Undelivered(call.mayHaveRun ? .outcomeUnknown : .notDelivered, "the server does not read its input")))
            // Without what it would write: nobody reads that.
            perform(actions.filter { if case .write = $0 { false } else { true } })
        }
    }

    func notify(_ id: CallID, _ message: ByteBuffer) {
        guard let call = calls[id] else { return }
        var messages = [message]
        if call.isResumed, let missed = SubscriptionRestart.notifications(acknowledgement: message) {
            // What changed while no process was there, nobody knows: all of it may have.
            call.isResumed = false
            messages = missed
        }
        call.isAcknowledged = true
        let isLast = process?.hasEnded == true
        if !messages.allSatisfy({ call.notify($0, isLast: isLast) }) {
            giveUpReader(id)
        } else if isLast {
            return
        } else if call.isBehind, !ChildCall.isProgress(message) {
            pauseReading(for: call)
        } else if call.waitingBytes > 0, calls.values.reduce(0, { $0 + $1.waitingBytes }) > environment.limits.queuedOutputBytes {
            pauseReading()
        }
    }

    private func giveUpReader(_ id: CallID) {
        guard calls[id] != nil else { return }
        let actions = back.cancel(id)
        finish(id, .failed(.unread))
        perform(actions)
    }

    private func pauseReading() { process?.setReading(false) }

    /// Nobody else waits for this child.
    private func isAlone(_ call: ChildCall) -> Bool { waiting.isEmpty && calls.values.allSatisfy { $0 === call || $0.isListen } }

    /// Another call came: whoever holds the child's output up does so no longer than a moment.
    func hurryReaders() {
        guard readingPaused else { return }
        for call in calls.values where call.unreadTimer != nil && !isAlone(call) {
            call.unreadTimer?.cancel()
            call.unreadTimer = nil
            pauseReading(for: call)
        }
    }

    /// Until it has read something, or for as long as it may read nothing.
    func pauseReading(for call: ChildCall) {
        pauseReading()
        guard call.unreadTimer == nil else { return }
        let limits = environment.limits
        let bound = NIOLoopBound((self, call), eventLoop: environment.loop)
        call.unreadTimer = environment.loop.scheduleTask(in: isAlone(call) ? limits.unread : limits.unreadShared) {
            let (child, call) = bound.value
            call.unreadTimer = nil
            child.giveUpReader(call.id)
        }
    }

    /// Of what a server should not have written, the operator sees the first lines.
    private func keep(noise line: ByteBuffer, isStray: Bool) {
        if isStray { strays += 1 } else { noise += 1 }
        if environment.showsErrors, !isStray, !isReady { lastNoise = shown(line) }
        guard keptNoise.count < 20 else { return }
        let text = shown(line)
        keptNoise.append(text)
        environment.log((isStray ? "an answer to what the server was not asked: " : "not a message on the server's stdout: ") + text)
    }

    /// The beginning of what a server wrote, for people.
    func shown(_ line: ByteBuffer) -> String {
        String(decoding: (plan?.mask ?? SecretMask()).head(of: line.readableBytesView, limit: 200).bytes, as: UTF8.self)
    }

    func arm(_ timer: BackTimer, _ seconds: Int) {
        backTimers[timer]?.cancel()
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        backTimers[timer] = environment.loop.scheduleTask(in: .seconds(Int64(seconds))) {
            let child = bound.value
            child.backTimers[timer] = nil
            if case .input(let handle) = timer, !child.back.isUnheard(handle) { child.lastUse = .now() }
            child.perform(child.back.timerFired(timer))
            child.stopIfDrained()
        }
    }

    func tap(_ line: ByteBuffer, isSent: Bool) {
        environment.tracing?.tap?(TappedLine(process: process?.pid ?? 0, isSent: isSent, line: line))
    }

    private func show(_ trace: String) { environment.tracing?.line("[\(process?.pid ?? 0)] \(trace)") }

    /// A server may say what it was given while it refuses.
    private func masked(_ reason: String) -> String { plan?.mask.masked(reason) ?? reason }

    func backEnded() {
        guard !backSawEnd else { return }
        backSawEnd = true
        // We ended it: that says nothing of its era.
        if machine.isRenewing || eraRestart { return }
        // One that had come up has shown its era.
        guard machine.stage != .ready, !back.isReady else { return }
        // That it was never spoken to says nothing of its era either, nor that it was ended in the middle of it.
        if back.isOpened, !machine.isStopping { forgetEra() }
        // Its calls are finished by the machine, which knows the exit status; what matters here is the era, and why it was not taken.
        for action in back.closed(reason: "") {
            switch action {
            case .restartForEra: restartForEra()
            case .handshakeFailed(let reason): perform(machine.handshakeFailed(masked(reason)))
            default: break
            }
        }
    }

    /// A handshake failed, in the era that another process had shown: that may be no longer so, and the next one is probed. An admin's
    /// word stands.
    private func forgetEra() {
        guard era != nil, environment.limits.era == .auto else { return }
        era = nil
        onEraLost?()
    }

    func restartForEra() {
        eraRestart = true
        machine.restartForEra()
    }
}

extension Child: ChildProcess.Owner {
    func process(_ process: ChildProcess, wrote frame: LineFramer.Frame) {
        guard process === self.process else { return }
        switch frame {
        case .line(let line):
            if let text = tracer?.received(line) { show(text) }
            tap(line, isSent: false)
            perform(back.received(line: line))
        case .oversized(let prefix, let bytes):
            environment.log("a line of \(bytes) bytes on the server's stdout exceeds the limit of \(environment.limits.lineBytes)")
            perform(back.receivedOversized(prefix: prefix))
        }
    }

    func process(_ process: ChildProcess, left frame: LineFramer.Frame) {
        guard process === self.process, case .line(let line) = frame else { return }
        if let text = tracer?.received(line) { show(text) }
        tap(line, isSent: false)
        perform(back.received(unended: line))
    }

    func processOutputEnded(_ process: ChildProcess) {
        guard process === self.process else { return }
        backEnded()
        perform(machine.outputClosed(now: .now()))
    }

    func processErrorsEnded(_ process: ChildProcess) {
        guard process === self.process else { return }
        perform(machine.errorsClosed(now: .now()))
    }

    func processInputBroke(_ process: ChildProcess) {
        guard process === self.process else { return }
        perform(machine.inputBroken())
    }

    func process(_ process: ChildProcess, logged lines: [String]) {
        for line in lines { environment.log("[\(process.pid)] \(line)") }
    }
}
