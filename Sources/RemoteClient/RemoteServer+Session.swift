import JSONText
import MCP
import NIOCore

/// How a conversation begins, ends and is renewed.
extension RemoteServer {
    static func newBack(_ era: Back.EraChoice) -> Back { Back(era: era, probeSeconds: 20) }

    func begin(declaring capabilities: ByteBuffer?) {
        // A server of the handshake revisions knows only what its session was opened with.
        if hasStarted, !back.serves(capabilities), calls.isEmpty, back.suspendedCount == 0 {
            leaveSession()
            forgetSession()
        }
        guard !hasStarted else { return }
        hasStarted = true
        if let capabilities { back.declare(capabilities) }
        perform(back.start())
    }

    func ready(_ identity: ServerIdentity, _ era: Era) {
        self.identity = identity
        lastStatus = nil
        mayFallBack = false
        // A stateless server is probed again: that costs nothing more, and it may become another.
        knownEra = era == .legacy ? .legacy : .auto
        let waiters = identityWaiters
        identityWaiters = []
        for waiter in waiters { waiter(.success(identity)) }
    }

    /// No answer can come any more: everybody who waits is told, and the next call begins anew.
    func giveUp(_ why: Undelivered) {
        if mayFallBack, !isClosed, !back.isReady { return fallBack() }
        let (ending, waiters) = (calls, identityWaiters)
        calls = [:]
        identityWaiters = []
        if !back.isReady { knownEra = .auto }
        leaveSession()
        forgetSession()
        endStrays()
        for waiter in waiters { waiter(.failure(why)) }
        for call in ending.values.sorted(by: { $0.id.rawValue < $1.id.rawValue }) { call.sink.finish(.failed(why)) }
    }

    /// The server does not take the client's era: it is asked which it speaks. Nothing was delivered.
    func fallBack() {
        mayFallBack = false
        let (again, capabilities) = (calls.values.sorted { $0.id.rawValue < $1.id.rawValue }, back.declared)
        calls = [:]
        knownEra = .auto
        leaveSession()
        forgetSession()
        begin(declaring: capabilities)
        for call in again { send(call) }
    }

    /// The conversation ended under its calls. Those that went out may have run; the others have not.
    func connectionLost(_ reason: String) {
        guard back.isReady else { return giveUp(Undelivered(.notDelivered, reason)) }
        let actions = back.closed(reason: reason)
        let ending = calls
        calls = [:]
        forgetSession()
        for case .finish(let id, let outcome) in actions { ending[id]?.sink.finish(outcome) }
    }

    /// Tells the server that the session is over; `completion` comes when it has heard of it, or does not answer.
    func leaveSession(_ completion: @escaping () -> Void = {}) {
        guard let session = sessionID else { return completion() }
        sessionID = nil
        var timer: Scheduled<Void>?
        let farewell = RemotePost(
            "DELETE", headers: [("mcp-session-id", session)] + versionHeader, message: { _, _ in .more },
            end: { _, _ in
                timer?.cancel()
                completion()
            })
        let limit = NIOLoopBound((farewell, completion), eventLoop: eventLoop)
        timer = eventLoop.scheduleTask(in: limits.farewell) {
            limit.value.0.cancel()
            limit.value.1()
        }
        sender.send(farewell)
    }

    func forgetSession() {
        for timer in timers.values { timer.cancel() }
        timers = [:]
        for post in Array(posts.values) + Array(others.values) { post.cancel() }
        posts = [:]
        others = [:]
        stream?.cancel()
        stream = nil
        streamTimer?.cancel()
        streamTimer = nil
        streamFailures = 0
        eventStream.forget()
        held = nil
        heldTimer?.cancel()
        heldTimer = nil
        hasStarted = false
        sessionID = nil
        if hasServed, back.era == .legacy { untoldRestart = true }
        hasServed = false
        back = Self.newBack(knownEra)
    }

    /// The server does not know the session any more: another one, in which what it did not take is said again.
    func sessionLost(by post: RemotePost) {
        let lost = post.id.flatMap { id in back.caller(of: id) }.flatMap { calls[$0] }
        startOver(with: lost, othersBecause: "the server ended the session")
    }

    /// Another conversation, in which a call that was not taken is sent once more. What else was under way may have run.
    func startOver(with call: RemoteCall?, othersBecause reason: String) {
        let capabilities = back.declared
        let ending = calls.filter { !($0.value !== call && becomesStray($0.value)) }
        calls = [:]
        forgetSession()
        for other in ending.values where other !== call { other.sink.finish(.failed(Undelivered(.outcomeUnknown, reason))) }
        if let call { sendAgain(call, declaring: capabilities, otherwise: reason) }
    }

    /// A call that was not taken, in a session that there is by now.
    func sendAgain(_ call: RemoteCall, declaring capabilities: ByteBuffer?, otherwise reason: String) {
        guard !call.isRetried, !isClosed else { return call.sink.finish(.failed(Undelivered(.notDelivered, reason))) }
        call.isRetried = true
        begin(declaring: capabilities)
        send(call)
    }

    /// Whether a call was refused because the server speaks the other era by now, by a code that no server of this one has.
    func isOfAnotherEra(_ error: MCPError) -> Bool {
        switch (era, error.code) {
        case (.legacy, MCPError.Code.headerMismatch), (.legacy, MCPError.Code.unsupportedProtocolVersion):
            return true
        case (.modern, MCPError.Code.unsupportedProtocolVersion):
            let supported = error.data.flatMap { try? JSONValue(parsing: $0.readableBytesSpan) }?["supported"]?.arrayValue
            return supported.map { !$0.contains(.string(ProtocolVersion.modern)) } ?? false
        default: return false
        }
    }
}
