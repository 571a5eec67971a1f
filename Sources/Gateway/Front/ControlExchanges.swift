import ControlSurface
import NIOCore

/// The control requests that one loop answers, with what each was admitted with, so that it ends when that does.
final class ControlExchanges {
    private struct Exchange {
        let writer: ExchangeWriter
        /// Nil for the host's root and for a request without a token.
        let grant: Grant?
    }

    private var exchanges: [Int: Exchange] = [:]
    private var lastID = 0
    private var whenIdle: [EventLoopPromise<Void>] = []

    var count: Int { exchanges.count }

    func nextID() -> Int {
        lastID += 1
        return lastID
    }

    func add(_ id: Int, _ writer: ExchangeWriter, _ peer: ControlPeer) {
        let grant: Grant? = if case .bearer(let grant) = peer { grant } else { nil }
        exchanges[id] = Exchange(writer: writer, grant: grant)
    }

    /// The task that answers has ended.
    func remove(_ id: Int) {
        exchanges[id] = nil
        guard exchanges.isEmpty else { return }
        for promise in whenIdle { promise.succeed() }
        whenIdle = []
    }

    /// Ends the streams whose grant `isGone`.
    func revoke(_ isGone: (Grant) -> Bool) {
        for exchange in exchanges.values {
            if let grant = exchange.grant, isGone(grant) { exchange.writer.revoke() }
        }
    }

    /// Succeeds `promise` when no task answers any more, or after `limit`.
    func drained(within limit: TimeAmount, on loop: any EventLoop, _ promise: EventLoopPromise<Void>) {
        guard !exchanges.isEmpty else { return promise.succeed() }
        whenIdle.append(promise)
        let late = loop.assumeIsolated().scheduleTask(in: limit) { [self] in
            for promise in whenIdle { promise.succeed() }
            whenIdle = []
        }
        promise.futureResult.whenComplete { _ in late.cancel() }
    }
}
