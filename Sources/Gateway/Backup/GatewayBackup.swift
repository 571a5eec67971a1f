import FoundationEssentials
import GRDB
import Glibc
public import Persistence

/// The gateway's part of a backup: its database, its key ring, the segments of its audit journal.
///
/// Both ways run as the gateway's user in a process that has given up everything else: what that user wrote, links and
/// databases included, is never opened by root. The projection of the journal (`audit.db`) is not part of it.
public enum GatewayBackup {
    /// What a part of a backup was found to hold.
    public struct Summary: Codable, Sendable, Equatable {
        public var connectors = 0
        public var virtualMCPs = 0
        public var tokens = 0
        /// Sealed values that the ring opened.
        public var secrets = 0
        public var auditRows = 0
        /// Rows whose arguments and results had been removed before.
        public var missingPayloads = 0
    }

    /// Writes the part while a gateway may be running.
    ///
    /// - Parameters:
    ///   - directory: the gateway's part of the state.
    ///   - scratch: an empty directory of the caller's, for the database's copy.
    /// - Returns: the connectors, and what they are built from.
    public static func pack(directory: String, scratch: String, to writer: BackupWriter) throws -> [BackupManifest.Connector] {
        let copy = scratch + "/gateway.db"
        try DatabaseCopy.take(of: directory + "/gateway.db", migrations: GatewaySchema.migrations, to: copy)
        // Behind the database: a value is never sealed with a key that is not in the file yet.
        guard let keys = try PrivateFile.read(directory + "/keys", limit: 65_536) else {
            throw StateError(.missingKeys, "\(directory)/keys is missing, and without it the sealed secrets cannot be opened", remedy: "restore it from a backup")
        }
        try writer.add("gateway/keys", keys)
        try add("gateway/gateway.db", copy, to: writer)
        let connectors = try DatabaseCopy.read(copy, migrations: GatewaySchema.migrations, connectors)
        unlink(copy)
        try packAudit(AuditSegments(directory: directory + "/audit"), to: writer)
        return connectors
    }

    /// Takes a part over from a backup, every row, seal and link of a chain checked; all of it or, where it throws, something
    /// that the caller removes.
    ///
    /// - Parameters:
    ///   - directory: empty.
    ///   - keeps: false to check only: what needs no second look is removed on the way, so that little room is needed.
    public static func unpack(_ reader: BackupReader, into directory: String, keeps: Bool) throws -> Summary {
        var summary = Summary()
        let audit = directory + "/audit"
        let segments = AuditSegments(directory: audit)
        var chains = AuditChains(format: try AuditLineFormat())
        if keeps { _ = try StateDirectory(directory) }
        try StateDirectory.prepare(audit)
        while let entry = try reader.next() {
            let parts = entry.name.split(separator: "/").map(String.init)
            guard parts.first == "gateway", let name = parts.last else { throw StateError(.damaged, "\(entry.name) is not the gateway's") }
            try reader.copy(to: parts.count == 3 ? "\(audit)/\(name)" : "\(directory)/\(name)")
            guard parts.count == 3, name.hasSuffix(".rows") else { continue }
            let words = name.dropLast(5).split(separator: "-")
            guard words.count == 2, let number = Int(words[1]), number > 0 else { throw StateError(.damaged, "\(entry.name) is no segment") }
            let segment = AuditSegments.Segment(chain: String(words[0]), number: number)
            // Its payloads came before it.
            try chains.take(segment, in: segments)
            if !keeps { for path in [segments.rows(segment), segments.payloads(segment)] { unlink(path) } }
        }
        if let broken = chains.report.firstBroken {
            throw StateError(
                .damaged, "the audit log does not hold: chain \(broken.chain), segment \(broken.segment), line \(broken.line): \(broken.reason)",
                remedy: "take another backup")
        }
        summary.auditRows = chains.report.chains.reduce(0) { $0 + $1.rows }
        summary.missingPayloads = chains.report.missingPayloads
        try check(directory, &summary)
        return summary
    }

    // MARK: Parts

    private static func check(_ directory: String, _ summary: inout Summary) throws {
        let ring = try KeyRing(path: directory + "/keys", createIfAbsent: false)
        summary = try DatabaseCopy.read(directory + "/gateway.db", migrations: GatewaySchema.migrations) { [summary] database in
            var summary = summary
            summary.connectors = try Int.fetchOne(database, sql: "SELECT count(*) FROM connectors") ?? 0
            summary.virtualMCPs = try Int.fetchOne(database, sql: "SELECT count(*) FROM virtualMCPs") ?? 0
            summary.tokens = try Int.fetchOne(database, sql: "SELECT count(*) FROM tokens WHERE revokedAt IS NULL") ?? 0
            for row in try Row.fetchAll(database, sql: "SELECT connector, name, sealed FROM secrets") {
                _ = try ring.open(Array(row["sealed"] as Data), identity: CredentialStore.identity(row["connector"], row["name"]))
                summary.secrets += 1
            }
            if let token = try Data.fetchOne(database, sql: "SELECT value FROM settings WHERE name = 'bootstrap_token'") {
                _ = try ring.open(Array(token), identity: "settings/bootstrap_token")
            }
            return summary
        }
    }

    private static func connectors(_ database: Database) throws -> [BackupManifest.Connector] {
        let sql = "SELECT name, definition FROM connectors WHERE state = 'ready' ORDER BY name LIMIT 4096"
        return try Row.fetchAll(database, sql: sql).map { row in
            let text: String = row["definition"]
            let source = try JSONDecoder().decode(ConnectorDefinition.self, from: Data(text.utf8)).source
            let (option, note) = source.rebuilding
            return .init(name: row["name"], source: option, note: note)
        }
    }

    /// Every segment as long as it is now, its payloads first: whoever checks it then has both.
    private static func packAudit(_ segments: AuditSegments, to writer: BackupWriter) throws {
        guard access(segments.directory, F_OK) == 0 else { return }
        for (chain, numbers) in try segments.list().sorted(by: { $0.key < $1.key }) {
            for number in numbers {
                let segment = AuditSegments.Segment(chain: chain, number: number)
                let rows = try Source(segments.rows(segment))
                // Measured behind the rows: a row's payload is written before it.
                if let payloads = try? Source(segments.payloads(segment)) {
                    try writer.add(name(segments.payloads(segment)), from: payloads.descriptor, size: payloads.size)
                }
                try writer.add(name(segments.rows(segment)), from: rows.descriptor, size: rows.size)
            }
        }
    }

    private static func name(_ path: String) -> String { "gateway/audit/" + (path.split(separator: "/").last.map(String.init) ?? "") }

    private static func add(_ name: String, _ path: String, to writer: BackupWriter) throws {
        let source = try Source(path)
        try writer.add(name, from: source.descriptor, size: source.size)
    }

    /// An open plain file, and its size now.
    private final class Source {
        let descriptor: Int32
        let size: Int

        init(_ path: String) throws {
            descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
            var status = stat()
            guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                throw StateError(.failed, "\(path) cannot be read: \(String(cString: strerror(errno)))")
            }
            size = Int(status.st_size)
        }

        deinit { if descriptor >= 0 { close(descriptor) } }
    }
}
