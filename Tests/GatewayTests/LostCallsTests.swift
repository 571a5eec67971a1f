import JSONText
import Logging
import NIOCore
import TestSupport
import Testing

@testable import Gateway

@Suite("lost calls")
struct LostCallsTests {
    private static let machine = LostCalls.Machine(
        connector: "time", app: "app-time", address: MachineAddress(machine: "0123456789abcd", boot: "boot1", door: "unix:/x"))
    private static let silent = LostCalls.Machine(
        connector: "dead", app: "app-dead", address: MachineAddress(machine: "00000000000000", boot: "boot0", door: "unix:/y"))

    private static func call(_ id: String, _ state: String, _ method: String = "tools/call", principal: String = "alice", at: Int = 500) -> String {
        #"{"id":"\#(id)","session":"s1","principal":"\#(principal)","method":"\#(method)","tool":"echo","at":\#(at),"state":"\#(state)"}"#
    }

    /// Only a call that a machine took before we began, that is audited, somebody's, and without a row.
    @Test func owedRows() async throws {
        let calls = [
            Self.call("a.1", "delivered"), Self.call("a.2", "answered"), Self.call("a.3", "answered"), Self.call("a.4", "failed"),
            Self.call("a.5", "not_delivered"), Self.call("a.6", "answered", "tools/list"), Self.call("a.7", "answered", principal: "berth:probe"),
            Self.call("a.8", "delivered", at: 2_000), Self.call("a.9", "cancelled", at: 400),
        ]
        let rows = Locked<[AuditRow]>([])
        let asked = Locked<[Set<String>]>([])
        let lost = LostCalls(
            ask: { machine in
                guard machine.connector == "time" else { throw ProbeFailure(error: "x", message: "unreachable") }
                return (200, ByteBuffer(string: #"{"calls":[\#(calls.joined(separator: ","))]}"#))
            },
            known: { ids in
                asked.withLockedValue { $0.append(ids) }
                return ["a.2"]
            },
            connection: { session in
                var row = AuditRow(method: "connected", outcome: .allowed, principal: "alice")
                (row.virtualMCP, row.tokenID, row.clientAddress) = ("office of \(session)", "t1", "203.0.113.9")
                return row
            },
            append: { row in rows.withLockedValue { $0.append(row) } }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        // A machine that does not answer costs the others nothing.
        #expect(try await lost.record(from: [Self.silent, Self.machine], before: 1_000) == 1, "one is still owed")
        let written = rows.withLockedValue { $0 }
        #expect(written.map(\.callID).first == "a.9", "by time")
        #expect(Set(written.map(\.callID)) == ["a.1", "a.3", "a.4", "a.9"])
        #expect(asked.withLockedValue { $0 } == [["a.1", "a.2", "a.3", "a.4", "a.9"]])
        let row = try #require(written.first { $0.callID == "a.1" })
        #expect(row.outcome == .unknown && row.principal == "alice" && row.connector == "time" && row.tool == "echo" && row.session == "s1")
        #expect(row.virtualMCP == "office of s1" && row.tokenID == "t1" && row.clientAddress == "203.0.113.9")
        #expect(row.machine == "0123456789abcd" && row.boot == "boot1" && row.time == 500 && row.reason.hasPrefix("outcome_unknown: "))
    }

    @Test func nothingOwed() async throws {
        let lost = LostCalls(
            ask: { _ in (200, ByteBuffer(string: #"{"calls":[]}"#)) }, known: { _ in throw ProbeFailure(error: "x", message: "not asked") },
            connection: { _ in nil },
            append: { _ in throw ProbeFailure(error: "x", message: "not written") }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await lost.record(from: [Self.machine], before: 1_000)
    }

    /// The projection knows the calls of its rows, and those alone.
    @Test func knownCalls() async throws {
        let fixture = try AuditFixture()
        let store = try AuditStore(path: fixture.database, journal: fixture.directory)
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        var row = AuditRow(method: "tools/call", outcome: .allowed, principal: "alice", time: 500)
        row.callID = "0000000000000001.7"
        row.clientAddress = "203.0.113.9"
        try journal.append(row)
        try journal.append(AuditRow(method: "connected", outcome: .allowed, principal: "alice", time: 501))
        #expect(try await store.known(["0000000000000001.7", "0000000000000001.8", ""]) == ["0000000000000001.7"])
        #expect(try await store.known(Set((0..<1_200).map { "0000000000000001.\($0)" })) == ["0000000000000001.7"])
        let entry = try #require(try await store.tail(limit: 2).first)
        #expect(entry.row.callID == "0000000000000001.7" && entry.row.clientAddress == "203.0.113.9")
        #expect(entry.json["call"]?.stringValue == "0000000000000001.7" && entry.json["client_address"]?.stringValue == "203.0.113.9")
        await store.close()
    }
}
