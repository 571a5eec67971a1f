import Door
import Logging
import MCP
import NIOCore

/// Fetches the credentials that a connector's child runs with and names their fingerprint in the session's key.
final class CredentialService: MCPService {
    private struct Key: Hashable {
        var connector: String
        var generation: Int
        var principal: String
    }

    private struct Known {
        var credentials: CredentialSet
        var redactor: AuditRedactor
    }

    private static let limit = 1_024

    let eventLoop: any EventLoop
    private let next: any MCPService
    private let support: any DataPathSupport
    private let logger: Logger
    /// A connector's generation grows with every change of its secrets, so that nothing here is ever stale.
    private var known: [Key: Known] = [:]

    init(next: any MCPService, support: any DataPathSupport, logger: Logger) {
        eventLoop = next.eventLoop
        self.next = next
        self.support = support
        self.logger = logger
    }

    func forget(connector: String) {
        known = known.filter { $0.key.connector != connector }
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard let record = CallRecord.of(context), let connector = record.connector else {
            sink.finish(.error(.internalError("the call has no record")))
            return EndedCall()
        }
        if connector.secretNames.isEmpty { return next.call(request, in: context, sink: sink) }
        let key = Key(connector: connector.name, generation: connector.generation, principal: record.principal)
        if let ready = known[key] { return pass(request, context, record, ready, sink) }

        let waiting = CredentialCall(sink: sink)
        let support = support
        eventLoop.makeFutureWithTask { try await support.credentials(for: connector, principal: key.principal) }.assumeIsolated()
            .whenComplete { [self] result in
                guard waiting.isWaiting else { return }
                switch result {
                case .success(let credentials):
                    let ready = credentials.map { keep($0, key) }
                    waiting.proceed { pass(request, context, record, ready, $0) }
                case .failure(let error):
                    logger.error("no credentials", metadata: ["connector": "\(connector.name)", "error": "\(error)"])
                    waiting.fail("the connector's credentials are not available")
                }
            }
        return waiting
    }

    private func pass(
        _ request: MCPRequest, _ context: CallContext, _ record: CallRecord, _ ready: Known?, _ sink: any MCPSink
    ) -> any MCPCall {
        guard let ready else { return next.call(request, in: context, sink: sink) }
        record.credentials = ready.credentials
        record.redactor = ready.redactor
        var context = context
        context.session.fingerprint = ready.credentials.fingerprint
        return next.call(request, in: context, sink: sink)
    }

    private func keep(_ credentials: CredentialSet, _ key: Key) -> Known {
        if known.count >= Self.limit { known.removeAll() }
        known = known.filter { $0.key.connector != key.connector || $0.key.generation == key.generation }
        let ready = Known(credentials: credentials, redactor: AuditRedactor(literals: credentials.secretValues))
        known[key] = ready
        return ready
    }
}

/// A call that waits for its credentials.
private final class CredentialCall: MCPCall {
    private var sink: (any MCPSink)?
    private var inner: (any MCPCall)?

    init(sink: any MCPSink) {
        self.sink = sink
    }

    var isWaiting: Bool { sink != nil }

    func proceed(_ body: (any MCPSink) -> any MCPCall) {
        guard let sink else { return }
        self.sink = nil
        inner = body(sink)
    }

    func fail(_ reason: String) {
        let waiting = sink
        sink = nil
        waiting?.finish(.failed(Undelivered(.notDelivered, reason)))
    }

    func cancel() {
        if isWaiting { fail("cancelled") } else { inner?.cancel() }
    }

    func resume() { inner?.resume() }
}
