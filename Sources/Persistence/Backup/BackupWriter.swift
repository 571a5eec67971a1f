import Glibc
import Sealing

/// Writes a backup: a tar archive (POSIX ustar, plain files only) whose first entry tells what it is and whose last ones are
/// `manifest.json`, every file with its size and SHA-256, and the manifest's own. Nothing is read back, so it may go into a pipe.
///
/// Confined to one thread.
public final class BackupWriter {
    private let output: Int32
    private let name: String
    private let seconds: Int64
    private let hash: SHA256
    private let block = 512
    private var files: [BackupManifest.File] = []
    /// Of the file under way.
    private var left = 0
    /// Bytes written.
    public private(set) var size = 0

    /// Begins an archive.
    ///
    /// - Parameters:
    ///   - output: not closed.
    ///   - name: of the output, for errors.
    ///   - created: milliseconds since 1970.
    public init(_ output: Int32, name: String, created: Int64) throws(StateError) {
        self.output = output
        self.name = name
        seconds = created / 1_000
        do { hash = try SHA256() } catch { throw StateError(.failed, "SHA-256 is not to be had") }
        let mark = Array(BackupName.markText.utf8)
        try header(BackupName.mark, mark.count)
        try write(mark)
        try pad(mark.count)
    }

    /// Adds a small file.
    public func add(_ name: String, _ bytes: [UInt8]) throws(StateError) {
        try begin(name, size: bytes.count)
        try append(bytes)
        try end()
    }

    /// Adds so many bytes of an open file from its beginning on; one that grows meanwhile is taken as it was.
    public func add(_ name: String, from descriptor: Int32, size: Int) throws(StateError) {
        try begin(name, size: size)
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        var offset = 0
        while offset < size {
            let count = pread(descriptor, &chunk, min(chunk.count, size - offset), off_t(offset))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw StateError(.failed, "\(name) became shorter while it was read", remedy: "run the command again") }
            try append(Array(chunk[..<count]))
            offset += count
        }
        try end()
    }

    /// Begins a file whose bytes come piece by piece; ``append(_:)`` takes them, ``end()`` ends it.
    public func begin(_ name: String, size: Int) throws(StateError) {
        guard let limit = BackupName.limit(name), size <= limit else {
            throw StateError(.failed, "\(name) with \(size) bytes cannot be in a backup")
        }
        try header(name, size)
        left = size
        files.append(.init(name: name, size: size, sha256: ""))
    }

    public func append(_ bytes: [UInt8]) throws(StateError) {
        guard bytes.count <= left else { throw StateError(.failed, "\(files.last?.name ?? "") became longer while it was read", remedy: "run the command again") }
        left -= bytes.count
        do { try hash.update(bytes) } catch { throw StateError(.failed, "SHA-256 failed") }
        try write(bytes)
    }

    /// - Returns: the file's SHA-256 in hex.
    @discardableResult
    public func end() throws(StateError) -> String {
        guard left == 0, let file = files.last else {
            throw StateError(.failed, "\(files.last?.name ?? "") became shorter while it was read", remedy: "run the command again")
        }
        let digest: String
        do { digest = Hex.encode(try hash.finish()) } catch { throw StateError(.failed, "SHA-256 failed") }
        files[files.count - 1].sha256 = digest
        try pad(file.size)
        return digest
    }

    /// Ends the archive; the manifest's files are filled in.
    public func finish(_ manifest: BackupManifest) throws(StateError) -> BackupManifest {
        var manifest = manifest
        manifest.files = files
        let bytes = try manifest.encoded()
        guard bytes.count <= BackupName.manifestLimit, files.count <= BackupName.mostFiles else {
            throw StateError(.failed, "\(files.count) files are more than a backup can hold")
        }
        try header(BackupName.manifest, bytes.count)
        try write(bytes)
        try pad(bytes.count)
        let seal: [UInt8]
        do { seal = Array((Hex.encode(try SHA256.digest(bytes)) + "\n").utf8) } catch { throw StateError(.failed, "SHA-256 failed") }
        try header(BackupName.seal, seal.count)
        try write(seal)
        try pad(seal.count)
        // Two empty blocks end an archive.
        try write([UInt8](repeating: 0, count: 2 * block))
        return manifest
    }

    private func header(_ name: String, _ size: Int) throws(StateError) {
        var bytes = [UInt8](repeating: 0, count: block)
        func put(_ text: String, at offset: Int) { for (index, byte) in text.utf8.enumerated() { bytes[offset + index] = byte } }
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        put(name, at: 0)
        put(octal(0o600, 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(octal(size, 11), at: 124)
        put(octal(Int(max(0, seconds)) & BackupName.largest, 11), at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar", at: 257)
        put("00", at: 263)
        put(octal(bytes.reduce(0) { $0 + Int($1) }, 6), at: 148)
        bytes[154] = 0
        try write(bytes)
    }

    private func pad(_ size: Int) throws(StateError) { try write([UInt8](repeating: 0, count: (block - size % block) % block)) }

    private func write(_ bytes: [UInt8]) throws(StateError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(output, $0.baseAddress.map { $0 + written }, bytes.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .system(count < 0 ? errno : EIO, "write", name) }
            written += count
        }
        size += bytes.count
    }
}
