import JSONText
import NIOCore
import Wire

/// A command that somebody is about to run in a machine.
struct ExecEntry: Sendable, Equatable {
    var app: String
    var machine: String
    var boot: String
    /// `root`, or the token.
    var by: String
    var command: [String]
}

/// Keeps the row of each command.
protocol ExecAudit: Sendable {
    /// - Throws: where there is no row: then the command must not run.
    func record(_ entry: ExecEntry) async throws
}

/// The gateway's audit log, over its control socket, which knows root by the kernel's word.
struct GatewayAudit: ExecAudit {
    let socket: String
    let http: HTTPClient

    static let path = "/api/v1/exec-rows"

    func record(_ entry: ExecEntry) async throws {
        let body = JSONValue.record(
            ("app", .string(entry.app)), ("machine", .string(entry.machine)), ("boot", .string(entry.boot)), ("by", .string(entry.by)),
            ("command", .array(entry.command.map { .string($0) })))
        let why: String
        do {
            let response = try await http.execute(
                "POST", Self.path, headers: [("content-type", "application/json")], body: ByteBuffer(bytes: body.serialized()),
                to: .unix(path: socket), headTimeout: .seconds(10))
            let answer = try await response.collect(upTo: 64 << 10)
            if response.status == 200 { return }
            why = (try? JSONValue(parsing: Array(buffer: answer)))?["message"]?.stringValue ?? "HTTP \(response.status)"
        } catch let error as CancellationError {
            throw error
        } catch {
            why = "the gateway does not answer"
        }
        throw MachineFailure(
            .unavailable, "audit_unavailable", "the command was not run, since its audit row could not be written: \(why.prefix(300))",
            hint: "the gateway's log tells why")
    }
}
