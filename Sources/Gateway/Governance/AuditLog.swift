import Door
import JSONText
import Logging
import MCP
import NIOCore

/// The loop's journal as the services use it: fails closed, and comes back by itself when the disk does.
final class AuditLog {
    private let journal: AuditJournal
    private let logger: Logger
    /// The last row could not be written.
    private(set) var isFailing = false

    init(journal: AuditJournal, logger: Logger) {
        self.journal = journal
        self.logger = logger
    }

    static let unavailable = MCPError(
        code: MCPError.Code.internalError, message: "Internal error: the audit log cannot be written",
        data: ByteBuffer(string: #"{"error":"audit_unavailable"}"#))

    /// Writes a row; an error for the caller when that fails.
    func write(_ row: AuditRow) -> MCPError? {
        do {
            try append(row)
            return nil
        } catch {
            return Self.unavailable
        }
    }

    func append(_ row: AuditRow) throws(AuditError) {
        do {
            try journal.append(row)
        } catch {
            if !isFailing { logger.critical("the audit log cannot be written: calls are refused", metadata: ["error": "\(error)"]) }
            isFailing = true
            throw error
        }
        if isFailing { logger.notice("the audit log can be written again") }
        isFailing = false
    }

    /// While the log fails, nothing is delivered: its row could not follow. Every refusal tries the log again.
    func failure(_ record: CallRecord) -> MCPError? {
        guard isFailing else { return nil }
        var row = AuditRow(record)
        row.outcome = .error
        row.reason = "audit_unavailable: not delivered"
        _ = write(row)
        return Self.unavailable
    }
}

extension AuditRow {
    /// Everything but how the call ended.
    init(_ record: CallRecord) {
        self.init(method: record.method, outcome: .allowed, principal: record.principal, time: record.time)
        clientAddress = record.clientAddress
        tokenID = record.grant.tokenID
        virtualMCP = record.virtualMCP.slug
        session = record.session
        exposedTool = Self.bounded((record.exposedTool ?? "").utf8, to: 256)
        tool = record.tool ?? ""
        connector = record.connector?.name ?? ""
        machine = record.pin?.pin.machine ?? ""
        boot = record.pin?.pin.boot ?? ""
        callID = record.callID?.description ?? ""
    }

    /// - Parameter ending: what made the gateway end the call before its answer.
    init(_ record: CallRecord, _ outcome: borrowing MCPOutcome, ending: AuditOutcome?, latency: TimeAmount) {
        self.init(record)
        latencyMicroseconds = latency.nanoseconds / 1_000
        arguments = record.arguments.map { Self.kept($0, record.redactor) }
        switch outcome {
        case .result(let payload):
            // A tool that failed answers a result all the same; for who reads the log it is an error.
            self.outcome = Self.isError(payload) ? .error : .allowed
            if self.outcome == .error { reason = "the tool answered isError" }
            result = Self.kept(payload, record.redactor)
        case .error(let error):
            self.outcome = .error
            // A server's own words, and servers quote keys in them.
            reason = record.redactor.redact(line: error.message, limit: 512)
        case .failed(let undelivered):
            self.outcome = ending ?? (undelivered.kind == .outcomeUnknown ? .unknown : .error)
            reason = "\(undelivered.kind.rawValue): " + record.redactor.redact(line: undelivered.reason, limit: 512)
        }
        if let denial = record.denial {
            self.outcome = .denied
            reason = denial
        }
        if record.isRepinned { reason = reason.isEmpty ? "repinned" : "repinned; \(reason)" }
    }

    private static func kept(_ payload: ByteBuffer, _ redactor: AuditRedactor) -> AuditText {
        payload.withUnsafeReadableBytes { redactor.redact($0) }
    }

    private static func isError(_ result: ByteBuffer) -> Bool {
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        guard let member = try? JSONMembers.value(of: "isError", object: whole, in: text) else { return false }
        return result.text(member) == "true"
    }
}
