import GRDB
import Glibc

/// Copies of a database as it was before a newer version migrated it: `<database>.before-<migration>`, 0600, one SQLite
/// file without companions. An older version that refuses the migrated database names the one that it can read.
enum MigrationBackup {
    /// How many a database keeps, the newest ones.
    static let kept = 3

    /// Where the copy taken before `migration` lies. Taken again, it takes the former one's place.
    static func path(of database: String, before migration: String) -> String { "\(database)\(mark)\(slug(migration))" }

    /// Takes the copy by SQLite's online backup, then lets go of the oldest ones beyond ``kept``.
    ///
    /// - Throws: ``StateError`` or a database error; nothing of the copy is left then.
    static func take(_ pool: DatabasePool, of database: String, before migration: String) throws {
        let final = path(of: database, before: migration)
        // A name of its own kind, so that what a kill cut off is found and counts for nothing.
        let unfinished = database + unfinishedMark
        remove(unfinished)
        do {
            try DatabaseCopy.take(pool, to: unfinished)
            guard rename(unfinished, final) == 0 else { throw StateError.system(errno, "create", final) }
        } catch {
            remove(unfinished)
            throw error
        }
        PrivateFile.syncDirectory(of: final)
        for old in all(of: database).dropFirst(kept) { unlink(old) }
    }

    /// The copies of a database, newest first.
    static func all(of database: String) -> [String] {
        let slash = database.lastIndex(of: "/")
        let directory = slash.map { String(database[..<$0]) } ?? "."
        let prefix = (slash.map { String(database[database.index(after: $0)...]) } ?? database) + mark
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var found: [(path: String, second: Int, nanosecond: Int)] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name.hasPrefix(prefix), isSlug(name.dropFirst(prefix.count)) else { continue }
            var status = stat()
            guard lstat(directory + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
            let time = withUnsafeBytes(of: status.st_mtim) {
                ($0.loadUnaligned(as: Int.self), $0.loadUnaligned(fromByteOffset: MemoryLayout<Int>.size, as: Int.self))
            }
            found.append((directory + "/" + name, time.0, time.1))
        }
        return found.sorted { ($0.second, $0.nanosecond, $0.path) > ($1.second, $1.nanosecond, $1.path) }.map(\.path)
    }

    /// The newest copy whose schema a program with these migrations knows, or nil.
    static func readable(of database: String, _ migrator: DatabaseMigrator) -> String? {
        all(of: database).first { path in
            guard (try? PrivateFile.check(path)) != nil else { return false }
            var configuration = Configuration()
            configuration.readonly = true
            guard let queue = try? DatabaseQueue(path: path, configuration: configuration) else { return false }
            defer { try? queue.close() }
            return (try? queue.read { try !migrator.appliedIdentifiers($0).isEmpty && !migrator.hasBeenSuperseded($0) }) == true
        }
    }

    private static let mark = ".before-"
    private static let unfinishedMark = ".unfinished-copy"

    private static func remove(_ path: String) { for suffix in ["", "-journal", "-wal", "-shm"] { unlink(path + suffix) } }

    /// A migration's name as part of a file's: `v2: when a pin was taken` is `v2-when-a-pin-was-taken`.
    private static func slug(_ name: String) -> String {
        var text = ""
        for byte in name.lowercased().utf8 {
            if isPlain(byte) { text.unicodeScalars.append(Unicode.Scalar(byte)) } else if !text.isEmpty, text.last != "-" { text += "-" }
        }
        // The words that fit.
        let words = text.split(separator: "-")
        var short = ""
        for word in words {
            guard short.utf8.count + word.utf8.count < 48 else { break }
            short += (short.isEmpty ? "" : "-") + word
        }
        return short.isEmpty ? String(text.prefix(48)) : short
    }

    private static func isSlug(_ text: Substring) -> Bool { !text.isEmpty && text.utf8.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") } }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
