import MCP
import NIOCore

/// What the session asks for.
extension RemoteServer {
    func run(_ actions: [RemoteSession.Action]) {
        for action in actions {
            switch action {
            case .perform(let actions): perform(actions)
            case .post(let line): post(line)
            case .openEventStream: openEventStream()
            case .openStream(let place, let delay): openStream(from: place, after: delay)
            case .closeStream: closeStream()
            case .takeUp(let request, let delay): takeUp(request, after: delay)
            case .arm(let limit): hold(for: limit)
            case .disarm: heldTimer?.cancel()
            case .leave(let headers): leave(headers)
            case .discard: discard()
            case .fail(let why): fail(why)
            case .startOver(let call, let back, let reason): startOver(with: call.flatMap { calls[$0] }, from: back, because: reason)
            }
        }
    }

    private func openStream(from place: StreamPlace, after delay: TimeAmount) {
        guard delay > .zero else { return openStream(from: place) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        streamTimer = eventLoop.scheduleTask(in: delay) { bound.value.openStream(from: place) }
    }

    private func closeStream() {
        stream?.cancel()
        stream = nil
    }

    private func hold(for limit: TimeAmount) {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        heldTimer = eventLoop.scheduleTask(in: limit) {
            let server = bound.value
            for (key, post) in server.others where post.request.method == "notifications/initialized" {
                server.others[key] = nil
                post.cancel()
            }
            server.run(server.session.holdExpired())
        }
    }

    /// Tells the server that a session is over; `completion` comes when it has heard of it, or does not answer.
    func leave(_ headers: [(String, String)]?, _ completion: @escaping () -> Void = {}) {
        guard let headers else { return completion() }
        var timer: Scheduled<Void>?
        let farewell = RemotePost(
            RemoteRequest("DELETE"), headers: headers, message: { _, _ in .more },
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

    func discard() {
        for timer in Array(timers.values) + [streamTimer, heldTimer].compactMap({ $0 }) { timer.cancel() }
        timers = [:]
        for post in Array(posts.values) + Array(others.values) { post.cancel() }
        posts = [:]
        others = [:]
        closeStream()
    }

    private func fail(_ why: Undelivered) {
        let ending = calls.values.sorted { $0.id.rawValue < $1.id.rawValue }
        calls = [:]
        let waiters = identityWaiters
        identityWaiters = []
        endStrays()
        for waiter in waiters { waiter(.failure(why)) }
        for call in ending { call.sink.finish(.failed(why)) }
    }
}
