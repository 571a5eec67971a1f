import Glibc
import Sealing

/// Small files of 0600: written whole or not at all, read only when nobody else could have.
public enum PrivateFile {
    /// Whether there is an entry of that name.
    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Reads a whole file, or nil when there is none.
    ///
    /// - Throws: `wide_mode` or `wrong_owner` when others could read or change it, `damaged` above `limit` bytes.
    public static func read(_ path: String, limit: Int) throws(StateError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if descriptor < 0 {
            if errno == ENOENT { return nil }
            throw .system(errno, "read", path)
        }
        defer { close(descriptor) }
        try check(descriptor, path)
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var count = 0
        while count <= limit {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress.map { $0 + count }, limit + 1 - count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .system(errno, "read", path) }
            if got == 0 { break }
            count += got
        }
        guard count <= limit else { throw StateError(.damaged, "\(path) is larger than \(limit) bytes") }
        return Array(bytes[..<count])
    }

    /// Creates a file that must not exist yet, and syncs it and its directory.
    ///
    /// - Returns: false when somebody else created it first.
    @discardableResult
    public static func create(_ path: String, _ bytes: [UInt8]) throws(StateError) -> Bool {
        let temporary = try writeTemporary(beside: path, bytes)
        defer { unlink(temporary) }
        if link(temporary, path) != 0 {
            if errno == EEXIST { return false }
            throw .system(errno, "create", path)
        }
        syncDirectory(of: path)
        return true
    }

    /// Replaces a file (or creates it) in one step, and syncs it and its directory.
    public static func replace(_ path: String, _ bytes: [UInt8]) throws(StateError) {
        let temporary = try writeTemporary(beside: path, bytes)
        if rename(temporary, path) != 0 {
            let number = errno
            unlink(temporary)
            throw .system(number, "replace", path)
        }
        syncDirectory(of: path)
    }

    /// Checks an existing file: regular, ours, not wider than 0600.
    public static func check(_ path: String) throws(StateError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(errno, "read", path) }
        defer { close(descriptor) }
        try check(descriptor, path)
    }

    private static func check(_ descriptor: Int32, _ path: String) throws(StateError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(errno, "read", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw StateError(.damaged, "\(path) is not a plain file") }
        guard status.st_uid == geteuid() else {
            throw StateError(
                .wrongOwner, "\(path) belongs to uid \(status.st_uid), not to uid \(geteuid())", remedy: "chown \(geteuid()) \(path)")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw StateError(.wideMode, "\(path) is open to other users (mode \(octal(status.st_mode)))", remedy: "chmod 600 \(path)")
        }
    }

    private static func writeTemporary(beside path: String, _ bytes: [UInt8]) throws(StateError) -> String {
        let temporary = "\(path).\(ULID())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .system(errno, "create", path) }
        var failure: Int32 = 0
        var written = 0
        while written < bytes.count, failure == 0 {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written) }
            if count >= 0 { written += count } else if errno != EINTR { failure = errno }
        }
        if failure == 0, fsync(descriptor) != 0 { failure = errno }
        close(descriptor)
        guard failure == 0 else {
            unlink(temporary)
            throw .system(failure, "write", path)
        }
        return temporary
    }

    static func syncDirectory(of path: String) {
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
