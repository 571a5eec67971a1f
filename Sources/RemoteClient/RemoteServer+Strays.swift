import MCP
import NIOCore

/// A call that was under way when another one learned that their session is gone: most likely it is refused for the same reason, and then
/// it was not delivered either; but its answer may be on its way.
struct StrayCall {
    var call: RemoteCall
    /// What the call was in its conversation, which understands its answer.
    var id: CallID
    var back: Back
    var post: RemotePost
    var capabilities: ByteBuffer
    var timer: Scheduled<Void>
}

extension RemoteServer {
    /// Another conversation, in which a call that was not taken is said once more. What else was under way may have run.
    func startOver(with call: RemoteCall?, from back: Back, because reason: String) {
        // Whoever was asked outside of calls would answer to nobody.
        var over = back
        for action in over.processEnded().actions {
            if case .notify(let id, let message) = action { _ = calls[id]?.sink.notification(message) }
        }
        let ending = calls.values.filter { $0 !== call && !becomesStray($0, back) }
        calls = [:]
        discard()
        for other in ending { other.sink.finish(.failed(Undelivered(.outcomeUnknown, reason))) }
        if let call { sendAgain(call, declaring: back.declared, otherwise: reason) }
    }

    /// A call that was not taken, in a session that there is by now.
    private func sendAgain(_ call: RemoteCall, declaring capabilities: ByteBuffer?, otherwise reason: String) {
        guard !call.isRetried, session.stage != .closed else { return call.sink.finish(.failed(Undelivered(.notDelivered, reason))) }
        call.isRetried = true
        begin(declaring: capabilities)
        send(call)
    }

    /// - Returns: Whether the call can be waited for: its request is out, and its answer would come to that.
    private func becomesStray(_ call: RemoteCall, _ back: Back) -> Bool {
        guard session.transport == .streamable,
            let (id, post) = posts.first(where: { back.caller(of: $0.key) == call.id })
        else { return false }
        posts[id] = nil
        let key = ObjectIdentifier(call)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let timer = eventLoop.scheduleTask(in: limits.stray) { bound.value.settleStray(key, .outcomeUnknown) }
        strays[key] = StrayCall(call: call, id: call.id, back: back, post: post, capabilities: back.declared, timer: timer)
        post.hand(
            message: { [weak self] in self?.received($1, ofStray: key, $0) ?? .more },
            end: { [weak self] post, how in
                // Whatever it was refused for, nothing has run.
                switch how {
                case .refused(400..<500, _) where !post.request.isResumption: self?.settleStray(key, .notDelivered)
                case .failed(let why) where !post.request.isResumption: self?.settleStray(key, why.kind)
                default: self?.settleStray(key, .outcomeUnknown)
                }
            })
        return true
    }

    private func received(_ message: ByteBuffer, ofStray key: ObjectIdentifier, _ post: RemotePost) -> Demand {
        guard message.readableBytes <= Self.messageLimit, var stray = strays[key] else { return .more }
        let actions = stray.back.received(line: message)
        strays[key] = stray
        var demand = Demand.more
        for action in actions {
            switch action {
            case .notify(stray.id, let message): demand = stray.call.notify(message)
            case .finish(stray.id, let outcome):
                strays[key] = nil
                stray.timer.cancel()
                post.cancel()
                stray.call.sink.finish(outcome)
                return .more
            default: break
            }
        }
        return demand
    }

    private func settleStray(_ key: ObjectIdentifier, _ kind: Undelivered.Kind) {
        guard let stray = strays.removeValue(forKey: key) else { return }
        stray.timer.cancel()
        stray.post.cancel()
        let reason = "the server ended the session"
        switch kind {
        case .notDelivered: sendAgain(stray.call, declaring: stray.capabilities, otherwise: reason)
        case .outcomeUnknown: stray.call.sink.finish(.failed(Undelivered(kind, reason)))
        }
    }

    /// - Returns: Whether it was one.
    func cancelStray(_ call: RemoteCall) -> Bool {
        guard strays[ObjectIdentifier(call)] != nil else { return false }
        settleStray(ObjectIdentifier(call), .outcomeUnknown)
        return true
    }

    func endStrays() {
        for key in Array(strays.keys) { settleStray(key, .outcomeUnknown) }
    }
}
