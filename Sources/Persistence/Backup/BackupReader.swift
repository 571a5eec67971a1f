import Glibc
import Sealing

/// Reads a backup from its first byte to its last and takes nothing on trust: plain files of known names and sizes only,
/// none twice, each with the size and SHA-256 of the manifest at the end. Whoever uses what it hands out before
/// ``next()`` has answered nil must be able to throw it away.
///
/// Confined to one thread.
public final class BackupReader {
    /// A file, whose bytes come next.
    public struct Entry: Sendable, Equatable {
        public var name: String
        public var size: Int
    }

    private let input: Int32
    private let source: String
    private let hash: SHA256
    private let block = 512
    private var seen: [String: BackupManifest.File] = [:]
    private var current: Entry?
    private var left = 0
    private var chunk = [UInt8](repeating: 0, count: 1 << 18)
    /// What the archive says of itself; nil until ``next()`` has answered nil.
    public private(set) var manifest: BackupManifest?

    /// - Parameters:
    ///   - input: a file or pipe at the archive's first byte; not closed.
    ///   - source: its name, for errors.
    /// - Throws: ``StateError`` with `damaged` where it is no backup.
    public init(_ input: Int32, source: String) throws(StateError) {
        self.input = input
        self.source = source
        do { hash = try SHA256() } catch { throw StateError(.failed, "SHA-256 is not to be had") }
        let none = StateError(
            .damaged, "\(source) is no backup of Berth's", remedy: "give a file that berth backup wrote, decrypted and not compressed")
        var bytes = [UInt8](repeating: 0, count: 2 * block)
        guard try read(&bytes, 2 * block) == 2 * block else { throw none }
        guard let header = try? header(Array(bytes[..<block])), header.name == BackupName.mark else { throw none }
        let text = String(decoding: bytes[block...].prefix { $0 != 0 }, as: UTF8.self)
        guard text.hasPrefix("berth-backup ") else { throw none }
        guard bytes[(block + text.utf8.count)...].allSatisfy({ $0 == 0 }) else { throw none }
        guard text == BackupName.markText, header.size == text.utf8.count else {
            throw StateError(.newerVersion, "\(source) was made by a newer berth", remedy: "restore it with that version")
        }
    }

    /// The next file; what is left of the one before is passed over. Nil after the last one, when everything held.
    public func next() throws(StateError) -> Entry? {
        if current != nil { try skip() }
        guard manifest == nil else { return nil }
        let entry = try header(try exactly(block))
        if entry.name == BackupName.manifest {
            try readManifest(entry.size)
            return nil
        }
        guard let limit = BackupName.limit(entry.name) else { throw damaged("it holds \(entry.name.prefix(100)), which no backup does") }
        guard entry.size <= limit else { throw damaged("\(entry.name) is too large") }
        guard seen[entry.name] == nil else { throw damaged("\(entry.name) is in it twice") }
        guard seen.count < BackupName.mostFiles else { throw damaged("it holds too many files") }
        current = entry
        left = entry.size
        if left == 0 { try end() }
        return entry
    }

    /// The next bytes of the file at hand, at most 256 KiB; nil at its end.
    public func body() throws(StateError) -> [UInt8]? {
        guard current != nil, left > 0 else { return nil }
        let count = try read(&chunk, min(chunk.count, left))
        guard count > 0 else { throw cutOff }
        let bytes = Array(chunk[..<count])
        do { try hash.update(bytes) } catch { throw StateError(.failed, "SHA-256 failed") }
        left -= count
        if left == 0 { try end() }
        return bytes
    }

    /// All of the file at hand, which is known to be small.
    public func all() throws(StateError) -> [UInt8] {
        var bytes: [UInt8] = []
        while let next = try body() { bytes += next }
        return bytes
    }

    /// The file at hand into another; then it is on the disk.
    public func copy(to path: String) throws(StateError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .system(errno, "create", path) }
        defer { close(descriptor) }
        while let bytes = try body() {
            var written = 0
            while written < bytes.count {
                let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw .system(count < 0 ? errno : EIO, "write", path) }
                written += count
            }
        }
    }

    /// The SHA-256 of a file that was read to its end, in hex.
    public func digest(_ name: String) -> String? { seen[name]?.sha256 }

    // MARK: Parts

    private func skip() throws(StateError) { while try body() != nil {} }

    /// The file at hand is over.
    private func end() throws(StateError) {
        guard let entry = current else { return }
        current = nil
        do {
            seen[entry.name] = .init(name: entry.name, size: entry.size, sha256: Hex.encode(try hash.finish()))
        } catch {
            throw StateError(.failed, "SHA-256 failed")
        }
        try padding(entry.size)
    }

    private func readManifest(_ size: Int) throws(StateError) {
        guard size <= BackupName.manifestLimit else { throw damaged("its manifest is too large") }
        let bytes = try exactly(size)
        try padding(size)
        let seal = try self.header(try exactly(block))
        guard seal.name == BackupName.seal, seal.size == BackupName.sealSize else { throw damaged("its manifest is not sealed") }
        let own: String
        do { own = Hex.encode(try SHA256.digest(bytes)) } catch { throw StateError(.failed, "SHA-256 failed") }
        guard try exactly(seal.size) == Array((own + "\n").utf8) else { throw damaged("its manifest was changed") }
        try padding(seal.size)
        guard let found = BackupManifest.decoded(bytes) else { throw damaged("its manifest cannot be read") }
        for file in found.files {
            guard let own = seen[file.name] else { throw damaged("\(file.name.prefix(100)) is missing") }
            guard own.size == file.size, own.sha256 == file.sha256 else { throw damaged("\(file.name) was changed") }
        }
        guard found.files.count == seen.count, Set(found.files.map(\.name)).count == seen.count else {
            throw damaged("it holds files that its manifest does not name")
        }
        guard found.stateVersion <= StateDirectory.currentVersion else {
            throw StateError(
                .newerVersion, "\(source) was made by a newer berth (\(found.berth.prefix(32)), state version \(found.stateVersion))",
                remedy: "restore it with that version")
        }
        guard found.stateVersion > 0 else { throw damaged("its manifest names no state version") }
        // Two empty blocks, and what a tape's or a pipe's writer fills up with.
        guard try exactly(2 * block).allSatisfy({ $0 == 0 }) else { throw damaged("something follows its manifest") }
        while true {
            let count = try read(&chunk, chunk.count)
            if count == 0 { break }
            guard chunk[..<count].allSatisfy({ $0 == 0 }) else { throw damaged("something follows its end") }
        }
        manifest = found
    }

    private func header(_ bytes: [UInt8]) throws(StateError) -> Entry {
        var sum = 0
        for (index, byte) in bytes.enumerated() { sum += (148..<156).contains(index) ? 32 : Int(byte) }
        guard Self.octal(bytes[148..<154]) == sum, bytes[154] == 0, bytes[155] == UInt8(ascii: " "), bytes[257..<262].elementsEqual("ustar".utf8) else {
            throw damaged("a header in it does not hold")
        }
        let name = bytes[0..<100].prefix { $0 != 0 }
        guard bytes[156] == UInt8(ascii: "0"), bytes[157] == 0, bytes[345] == 0, let size = Self.octal(bytes[124..<135]),
            let text = String(validating: name, as: UTF8.self), !text.isEmpty
        else { throw damaged("it holds something else than plain files") }
        return Entry(name: text, size: size)
    }

    private static func octal(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for byte in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(byte) else { return nil }
            value = value << 3 | Int(byte - UInt8(ascii: "0"))
        }
        return value
    }

    private func padding(_ size: Int) throws(StateError) {
        let count = (block - size % block) % block
        guard count > 0 else { return }
        guard try exactly(count).allSatisfy({ $0 == 0 }) else { throw damaged("a file in it is longer than it says") }
    }

    private func exactly(_ count: Int) throws(StateError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard try read(&bytes, count) == count else { throw cutOff }
        return bytes
    }

    /// Up to `count` bytes into the front of `bytes`; fewer only at the end of the input.
    private func read(_ bytes: inout [UInt8], _ count: Int) throws(StateError) -> Int {
        var got = 0
        while got < count {
            let more = bytes.withUnsafeMutableBytes { Glibc.read(input, $0.baseAddress.map { $0 + got }, count - got) }
            if more < 0, errno == EINTR { continue }
            guard more >= 0 else { throw .system(errno, "read", source) }
            if more == 0 { break }
            got += more
        }
        return got
    }

    private var cutOff: StateError { damaged("it is cut off") }

    private func damaged(_ reason: String) -> StateError {
        StateError(.damaged, "\(source) cannot be used: \(reason)", remedy: "take another backup, or another copy of this one")
    }
}
