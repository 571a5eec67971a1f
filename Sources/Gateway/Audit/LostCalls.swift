import Door
import JSONText
import Logging
import NIOCore
import Sealing

/// Writes the rows that an earlier gateway process owes: calls that a machine took and that have no row, because the
/// gateway ended between delivery and row. The machines remember their last 1,024 calls (DESIGN §5, §7).
struct LostCalls: Sendable {
    struct Machine: Sendable {
        var connector: String
        var app: String
        var address: MachineAddress
    }

    /// Answers `GET /calls` of a machine.
    let ask: @Sendable (Machine) async throws -> (status: Int, body: ByteBuffer)
    let known: @Sendable (_ calls: Set<String>) async throws -> Set<String>
    /// The row that says who opened a session.
    let connection: @Sendable (_ session: String) async throws -> AuditRow?
    let append: @Sendable (AuditRow) async throws -> Void
    let logger: Logger

    /// - Parameter start: When this process began, in milliseconds since 1970: later calls are its own.
    /// - Returns: How many machines did not answer; their rows are still owed. A second time writes nothing twice.
    @discardableResult
    func record(from machines: [Machine], before start: Int64) async throws -> Int {
        var lost: [String: AuditRow] = [:]
        var silent = 0
        for machine in machines {
            try Task.checkCancellation()
            do {
                for (id, row) in try await rows(of: machine) where row.time < start { lost[id] = row }
            } catch {
                silent += 1
                logger.warning("a machine does not tell its last calls", metadata: ["machine": "\(machine.address.machine)", "error": "\(error)"])
            }
        }
        guard !lost.isEmpty else { return silent }
        for id in try await known(Set(lost.keys)) { lost[id] = nil }
        for var row in lost.values.sorted(by: { $0.time < $1.time }) {
            if let opened = try await connection(row.session) {
                (row.virtualMCP, row.tokenID, row.clientAddress) = (opened.virtualMCP, opened.tokenID, opened.clientAddress)
            }
            try await append(row)
        }
        if !lost.isEmpty { logger.notice("calls of an earlier gateway process have no known outcome", metadata: ["rows": "\(lost.count)"]) }
        return silent
    }

    private func rows(of machine: Machine) async throws -> [(id: String, row: AuditRow)] {
        let answer = try await ask(machine)
        guard answer.status == 200, let calls = try JSONValue(parsing: answer.body.readableBytesSpan)["calls"]?.arrayValue else {
            throw ProbeFailure(error: "bad_answer", message: "status \(answer.status)")
        }
        return calls.compactMap { call in
            guard let id = call["id"]?.stringValue, let method = call["method"]?.stringValue, AuditService.audited.contains(method),
                let principal = call["principal"]?.stringValue, principal != GatewayDataPath.prober, let time = call["at"]?.intValue,
                let state = call["state"]?.stringValue, state != "not_delivered"
            else { return nil }
            var row = AuditRow(method: method, outcome: .unknown, principal: principal, time: Int64(time))
            row.callID = id
            row.connector = machine.connector
            row.tool = call["tool"]?.stringValue ?? ""
            row.session = call["session"]?.stringValue ?? ""
            row.machine = machine.address.machine
            row.boot = machine.address.boot
            row.reason = "outcome_unknown: the gateway ended before it had the answer; the machine says \(state)"
            return (id, row.bounded())
        }
    }
}
