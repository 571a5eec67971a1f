import Glibc

/// The files of the journal: `<directory>/<chain>-<number>.rows` and `.payloads`.
struct AuditSegments {
    struct Segment: Hashable {
        var chain: String
        var number: Int
    }

    let directory: String

    func rows(_ segment: Segment) -> String { path(segment, "rows") }
    func payloads(_ segment: Segment) -> String { path(segment, "payloads") }

    /// Every segment by chain, numbers ascending.
    func list() throws(AuditError) -> [String: [Int]] {
        guard let stream = opendir(directory) else { throw Self.failure(errno, "read", directory) }
        defer { closedir(stream) }
        var found: [String: [Int]] = [:]
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name.hasSuffix(".rows") else { continue }
            let parts = name.dropLast(".rows".count).split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, Self.isChain(String(parts[0])), let number = Int(parts[1]), number > 0 else { continue }
            found[String(parts[0]), default: []].append(number)
        }
        return found.mapValues { $0.sorted() }
    }

    /// Chains are plain words: they are part of file names.
    static func isChain(_ name: String) -> Bool {
        (1...32).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            }
    }

    /// A whole file; segments are bounded.
    static func read(_ path: String) throws(AuditError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw failure(errno, "read", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(errno, "read", path) }
        return try read(descriptor, at: 0, count: Int(status.st_size), path)
    }

    /// Up to `count` bytes from `offset`; fewer at the end of the file.
    static func read(_ descriptor: Int32, at offset: Int, count: Int, _ path: String) throws(AuditError) -> [UInt8] {
        var problem: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: max(count, 1)) { buffer, filled in
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress.map { $0 + filled }, count - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { problem = errno }
                if got <= 0 { return }
                filled += got
            }
        }
        if problem != 0 { throw failure(problem, "read", path) }
        return bytes
    }

    /// Bytes of a file; 0 when it is not there.
    static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    static func failure(_ number: Int32, _ verb: String, _ path: String) -> AuditError {
        AuditError(code: .cannotWrite, message: "audit log: cannot \(verb) \(path): \(String(cString: strerror(number)))")
    }

    private func path(_ segment: Segment, _ kind: String) -> String {
        let digits = String(segment.number)
        return "\(directory)/\(segment.chain)-\(String(repeating: "0", count: max(0, 6 - digits.count)))\(digits).\(kind)"
    }
}

/// One append-only file. Not copyable: it owns its descriptor.
struct AuditFile: ~Copyable {
    let path: String
    private let descriptor: Int32
    /// Bytes that count; more may lie behind it after a failed write, until they are cut off.
    private(set) var size: Int
    private var tail = false

    /// Opens (or creates, 0600) the file; whatever lies behind `size` is cut off.
    init(_ path: String, size: Int? = nil) throws(AuditError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        self.path = path
        self.size = 0
        guard descriptor >= 0 else { throw AuditSegments.failure(errno, "open", path) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw AuditSegments.failure(errno, "open", path) }
        guard status.st_mode & 0o077 == 0 else {
            throw AuditError(code: .damaged, message: "audit log: \(path) is open to other users: chmod 600 \(path)")
        }
        self.size = Int(status.st_size)
        if let size, size < self.size {
            guard ftruncate(descriptor, off_t(size)) == 0 else { throw AuditSegments.failure(errno, "cut", path) }
            self.size = size
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Appends all of `bytes` or nothing.
    mutating func append(_ bytes: [UInt8]) throws(AuditError) {
        if tail { try cut(to: size) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let number = count < 0 ? errno : EIO
                if written > 0 { try? cut(to: size) }
                throw AuditSegments.failure(number, "write", path)
            }
            written += count
            tail = true
        }
        tail = false
        size += written
    }

    /// Takes the last bytes back.
    mutating func cut(to size: Int) throws(AuditError) {
        self.size = size
        tail = true
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw AuditSegments.failure(errno, "cut", path) }
        tail = false
    }
}
