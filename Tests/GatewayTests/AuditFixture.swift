import Foundation
import Gateway

/// A journal directory of one test, removed with it.
final class AuditFixture: Sendable {
    let root: String
    var directory: String { root + "/audit" }
    var database: String { root + "/audit.db" }

    init(root: String? = nil) throws {
        self.root = (root ?? NSTemporaryDirectory()) + "/berth-audit-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: self.root, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func journal(
        chain: String = "l0", segmentSize: Int = 16 << 20, onAppend: (@Sendable ([AuditRow]) -> Void)? = nil
    ) throws -> AuditJournal {
        try AuditJournal(directory: directory, chain: chain, segmentSize: segmentSize, onAppend: onAppend)
    }

    static func call(_ number: Int, payload: Bool = true) -> AuditRow {
        var row = AuditRow(method: "tools/call", outcome: .allowed, principal: "alice@example.org", time: 1_800_000_000_000 + Int64(number))
        row.virtualMCP = "team"
        row.connector = "weather"
        row.tool = "forecast"
        row.exposedTool = "weather_forecast"
        row.session = "0123456789abcdef"
        row.machine = "0123456789abcd"
        row.boot = "01JBOOT"
        row.latencyMicroseconds = Int64(number)
        row.reason = number % 3 == 0 ? "a \"quoted\"\nreason é" : ""
        if payload {
            row.arguments = AuditText(text: "{\"city\":\"Bern \(number)\"}")
            row.result = AuditText(text: "{\"content\":[]", truncated: true)
        }
        return row
    }

    func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name))) }

    func write(_ bytes: [UInt8], _ name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
    }

    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory).sorted() }

    func mode(_ name: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: directory + "/" + name)[.posixPermissions] as? Int ?? -1
    }
}

extension AuditStore {
    /// All pages of the last rows at once.
    func tail(limit: Int, _ filter: AuditFilter = AuditFilter()) async throws -> [AuditEntry] {
        var entries: [AuditEntry] = []
        for try await page in try await rows(last: limit, matching: filter) { entries += page }
        return entries
    }
}

extension AuditRedactor {
    func redact(_ json: [UInt8]) -> AuditText { json.withUnsafeBytes { redact($0) } }
}
