import Logging
import MCP
import NIOCore

/// The outermost service: one row for each audited request, in the journal before the answer leaves. A call whose row
/// cannot be written answers an error.
///
/// It holds every call under way, and so is also what ends them: at their deadline, and when their token is revoked.
final class AuditService: MCPService {
    /// Requests that get a row each.
    static let audited: Set<String> = ["tools/call", "resources/read", "prompts/get", "completion/complete"]
    /// Calls end at most one and a half of these after their deadline.
    private let sweepInterval: TimeAmount

    let eventLoop: any EventLoop
    private let next: any MCPService
    private let log: AuditLog
    private let callTimeout: TimeAmount
    private let callsPerPrincipal: Int
    private var calls: [Int: AuditedCall] = [:]
    private var callsOfPrincipal: [String: Int] = [:]
    private var lastNumber = 0
    private var sweepIsScheduled = false

    init(next: any MCPService, log: AuditLog, callTimeout: TimeAmount, callsPerPrincipal: Int) {
        eventLoop = next.eventLoop
        self.next = next
        self.log = log
        self.callTimeout = callTimeout
        self.callsPerPrincipal = callsPerPrincipal
        sweepInterval = min(.seconds(1), max(.milliseconds(10), .nanoseconds(callTimeout.nanoseconds / 8)))
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard let record = CallRecord.of(context) else {
            sink.finish(.error(.internalError("the call has no record")))
            return EndedCall()
        }
        record.method = request.method
        guard Self.audited.contains(request.method), !context.isWatch else { return next.call(request, in: context, sink: sink) }
        record.exposedTool = request.name ?? request.uri
        record.arguments = request.arguments

        lastNumber += 1
        let now = NIODeadline.now()
        let deadline = min(context.deadline ?? .distantFuture, now + callTimeout)
        let call = AuditedCall(service: self, number: lastNumber, record: record, deadline: deadline, startedAt: now, sink: sink)
        if callsOfPrincipal[record.principal, default: 0] >= callsPerPrincipal {
            record.denial = "too many calls at once"
            call.finish(.failed(Undelivered(.notDelivered, "too many calls at once")))
            return call
        }
        if let failure = log.failure(record) {
            sink.finish(.error(failure))
            return EndedCall()
        }
        calls[call.number] = call
        callsOfPrincipal[record.principal, default: 0] += 1
        var context = context
        context.deadline = deadline
        call.started(next.call(request, in: context, sink: call))
        if !calls.isEmpty { scheduleSweep() }
        return call
    }

    /// Sessions with a call under way.
    var busySessions: Set<String> { Set(calls.values.map(\.record.session)) }

    /// Ends the calls of what was revoked; each gets its row.
    func end(where isRevoked: (CallRecord) -> Bool) {
        for call in calls.values where isRevoked(call.record) { call.revoke() }
    }

    fileprivate func ended(_ call: AuditedCall) {
        guard calls.removeValue(forKey: call.number) != nil else { return }
        let principal = call.record.principal
        let left = callsOfPrincipal[principal, default: 1] - 1
        callsOfPrincipal[principal] = left > 0 ? left : nil
    }

    fileprivate func write(_ row: AuditRow) -> MCPError? { log.write(row) }

    // MARK: Deadlines

    /// One timer for all calls, armed only while there are any.
    private func scheduleSweep() {
        guard !sweepIsScheduled else { return }
        sweepIsScheduled = true
        eventLoop.assumeIsolated().scheduleTask(in: sweepInterval) { [weak self] in self?.sweep() }
    }

    private func sweep() {
        sweepIsScheduled = false
        let now = NIODeadline.now()
        for call in calls.values where call.deadline <= now { call.expire() }
        if !calls.isEmpty { scheduleSweep() }
    }
}

/// One audited call.
private final class AuditedCall: MCPCall, MCPSink {
    private enum Ending {
        case expired
        case cancelled
        case revoked
    }

    let number: Int
    let record: CallRecord
    let deadline: NIODeadline
    private let service: AuditService
    private let startedAt: NIODeadline
    private var sink: (any MCPSink)?
    private var inner: (any MCPCall)?
    private var ending: Ending?

    init(service: AuditService, number: Int, record: CallRecord, deadline: NIODeadline, startedAt: NIODeadline, sink: any MCPSink) {
        self.service = service
        self.number = number
        self.record = record
        self.deadline = deadline
        self.startedAt = startedAt
        self.sink = sink
    }

    func started(_ call: any MCPCall) {
        guard sink != nil else { return }
        inner = call
        if ending != nil { call.cancel() }
    }

    func cancel() { end(.cancelled) }
    func resume() { inner?.resume() }
    func expire() { end(.expired) }
    func revoke() { end(.revoked) }

    private func end(_ reason: Ending) {
        guard sink != nil, ending == nil else { return }
        ending = reason
        inner?.cancel()
    }

    // MARK: MCPSink

    func notification(_ message: ByteBuffer) -> Demand { ending == nil ? sink?.notification(message) ?? .more : .more }

    func finish(_ outcome: consuming MCPOutcome) {
        guard let sink else { return }
        self.sink = nil
        inner = nil
        let outcome = described(outcome)
        let failure = service.write(AuditRow(record, outcome, ending: ending.map(Self.outcome), latency: .now() - startedAt))
        service.ended(self)
        if let failure { sink.finish(.error(failure)) } else { sink.finish(outcome) }
    }

    /// Says why a call ended that ended for a reason of ours.
    private func described(_ outcome: consuming MCPOutcome) -> MCPOutcome {
        guard let ending, case .failed(var undelivered) = outcome else { return outcome }
        switch ending {
        case .expired: undelivered.reason = "no answer within the time limit"
        case .revoked: undelivered.reason = "access was revoked"
        case .cancelled: break
        }
        return .failed(undelivered)
    }

    private static func outcome(_ ending: Ending) -> AuditOutcome {
        switch ending {
        case .expired: .timeout
        case .cancelled, .revoked: .cancelled
        }
    }
}
