import MCP
import NIOCore
import StdioBridge
import Wire

/// How sessions leave, and what follows from it.
extension HTTPSessions {
    /// Ends a session at the server too; the completion comes when that has heard of it.
    func end(session id: String, completion: @escaping (Bool) -> Void) {
        _ = retired.take(id)
        let found = sessions.values.filter { $0.key.id == id }
        var left = found.count
        if left == 0 { return completion(leaving.values.contains { $0.key.id == id }) }
        for session in found {
            leave(session, "the session was ended") {
                left -= 1
                if left == 0 { completion(true) }
            }
        }
    }

    /// Takes no new call; sessions end as their calls finish, and the server after them.
    func drain(completion: @escaping () -> Void) {
        isDraining = true
        whenEmpty.append { [hosted] in hosted.stop("draining", completion: completion) }
        let this = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: limits.drain) { this.value.endAll("draining") }
        for session in sessions.values where session.isIdle { leave(session, "draining") }
        settleDrain()
    }

    /// Ends every session at once, and the server.
    func shutdown(completion: @escaping () -> Void) {
        isDraining = true
        sweep?.cancel()
        whenEmpty.append { [hosted] in hosted.stop("shutting down", completion: completion) }
        endAll("shutting down")
        settleDrain()
    }

    private func endAll(_ reason: String) {
        for session in Array(sessions.values) { leave(session, reason) }
    }

    private func settleDrain() {
        guard isDraining, sessions.isEmpty, leaving.isEmpty, !whenEmpty.isEmpty else { return }
        let waiters = whenEmpty
        whenEmpty = []
        // Servers wait for their open connections before they end.
        prober.end("draining") { [pool] in
            pool.shutdown()
            for waiter in waiters { waiter() }
        }
    }

    /// Never silently: what the server knew of the session goes with it.
    func retire(_ session: HTTPSession, _ reason: String) {
        if session.hasState { retired.insert(session.key.id) }
        leave(session, reason)
    }

    private func leave(_ session: HTTPSession, _ reason: String, _ completion: @escaping () -> Void = {}) {
        if sessions[session.key] === session { sessions[session.key] = nil }
        leaving[ObjectIdentifier(session)] = session
        session.end(reason) { [self] in
            leaving[ObjectIdentifier(session)] = nil
            if !sessions.keys.contains(where: { $0.session == session.key.session }) { onGone?(session.key.session) }
            completion()
            settleDrain()
        }
    }

    /// Counts its calls, and ends it after the last one where all are to go.
    func watch(_ session: HTTPSession) {
        let owner = session.key.owner
        session.onCallEnded = { [weak self, weak session] outcome in
            guard let self else { return }
            callsInFlight -= 1
            callsOfOwner[owner] = callsOfOwner[owner].flatMap { $0 > 1 ? $0 - 1 : nil }
            switch outcome {
            case .result, .error: hosted.answered()
            case .failed(let why) where why.reason == hosted.loss?.reason:
                outcome = .failed(Undelivered(why.kind, why.reason, incident: hosted.loss?.incident))
            case .failed: break
            }
            guard isDraining, let session, session !== prober, session.isIdle, sessions[session.key] === session else { return }
            // After its caller has been told.
            let this = NIOLoopBound((self, session), eventLoop: eventLoop)
            eventLoop.execute { this.value.0.leave(this.value.1, "draining") }
        }
    }

    func scheduleSweep() {
        guard sweep == nil, !isDraining else { return }
        let interval = min(max(limits.idle.nanoseconds / 4, 20_000_000), 15_000_000_000)
        let this = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleTask(in: .nanoseconds(interval)) {
            this.value.sweep = nil
            this.value.endIdle(now: .now())
        }
    }

    private func endIdle(now: NIODeadline) {
        for session in Array(sessions.values) where session.isIdle && now - session.lastUse >= limits.idle { retire(session, "idle") }
        if !sessions.isEmpty { scheduleSweep() }
    }
}
