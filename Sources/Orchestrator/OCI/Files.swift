import CLinux
import Glibc

/// The few file operations that the machine layer needs, with the kernel's own errors.
///
/// Files under `/proc` and `/sys/fs/cgroup` tell no size and want one `write` per value, so none of Foundation's.
enum Files {
    /// A whole small file, or `nil` when it cannot be read.
    static func read(_ path: String, limit: Int = 1 << 20) -> String? {
        let descriptor = Descriptor(open(path, O_RDONLY | O_CLOEXEC))
        guard descriptor.value >= 0 else { return nil }
        return bytes(of: descriptor.value, upTo: limit).map { String(decoding: $0, as: UTF8.self) }
    }

    /// What an open file holds, `limit` bytes at most; `nil` when it cannot be read.
    static func bytes(of descriptor: Int32, upTo limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < limit {
            let count = Glibc.read(descriptor, &chunk, min(chunk.count, limit - bytes.count))
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[0..<count])
        }
        return bytes
    }

    /// Replaces a file's content, creating it with `mode`.
    static func write(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o600) throws(OCIError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw .system("open", path, errno) }
        defer { close(descriptor) }
        try writeAll(descriptor, bytes, path)
    }

    /// Writes one value into a kernel file in one `write`.
    static func set(_ path: String, _ value: String) throws(OCIError) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", path, errno) }
        defer { close(descriptor) }
        let bytes = Array(value.utf8)
        while Glibc.write(descriptor, bytes, bytes.count) < 0 {
            if errno != EINTR { throw .system("write", path, errno) }
        }
    }

    static func writeAll(_ descriptor: Int32, _ bytes: [UInt8], _ name: String) throws(OCIError) {
        let number = bytes.withUnsafeBytes { write($0, to: descriptor) }
        guard number == 0 else { throw .system("write", name, number) }
    }

    /// Writes all of it.
    ///
    /// - Returns: the `errno` of the call that failed, else 0.
    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
        var offset = 0
        while offset < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return errno }
            offset += count
        }
        return 0
    }

    /// The names in a directory; empty when there is none.
    static func names(_ directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func status(_ path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    /// Seconds and nanoseconds, read by their place: which module `timespec`'s members are imported from depends on the
    /// order in which the compiler meets the headers, so that naming them compiles in one build and not in another.
    static func parts(of time: timespec) -> (seconds: Int, nanoseconds: Int) {
        withUnsafeBytes(of: time) {
            ($0.loadUnaligned(as: Int.self), $0.loadUnaligned(fromByteOffset: MemoryLayout<Int>.size, as: Int.self))
        }
    }

    static func isDirectory(_ path: String) -> Bool {
        status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
    }

    /// Makes a directory and its missing parents; what exists keeps its mode.
    static func makeDirectories(_ path: String, mode: mode_t) throws(OCIError) {
        if isDirectory(path) { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try makeDirectories(String(path[..<slash]), mode: mode) }
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .system("mkdir", path, errno) }
        // `mkdir` obeys the umask of the thread, and these modes are part of the contract.
        guard chmod(path, mode) == 0 else { throw .system("chmod", path, errno) }
    }
}

/// A descriptor that is closed with its owner.
struct Descriptor: ~Copyable {
    let value: Int32

    init(_ value: Int32) { self.value = value }

    /// Hands the descriptor to somebody else who closes it.
    consuming func release() -> Int32 {
        let value = value
        discard self
        return value
    }

    deinit { if value >= 0 { close(value) } }
}
