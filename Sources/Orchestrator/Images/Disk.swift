import CLinux
import Glibc
import MachineAPI
import NIOPosix

/// File work of images: failures are ones that a person can act upon, and nothing blocks a caller's executor.
enum Disk {
    /// Builds' own threads: what takes long, or as long as foreign content has it take, keeps no machine from its start.
    private static let builders = {
        let pool = NIOThreadPool(numberOfThreads: 4)
        pool.start()
        return pool
    }()

    /// Runs blocking work of a build.
    static func work<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await builders.runIfActive(body)
    }

    /// Reads something small, for whoever waits for a machine.
    static func look<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await NIOThreadPool.singleton.runIfActive(body)
    }

    /// Removes a tree, also when the task at hand was cancelled.
    static func cleanUp(_ path: String) async {
        // A task of its own: work is refused to a cancelled one.
        _ = await Task { try await work { try Files.removeTree(path) } }.result
    }

    /// The failure of a system call.
    static func failure(_ call: String, _ object: String, _ number: Int32) -> ImageBuildFailure {
        if number == ENOSPC || number == EDQUOT {
            return ImageBuildFailure(
                error: "disk_full", message: "The disk is full (\(call) \(object)).",
                hint: "Free some space, or remove images that no connector uses.")
        }
        return ImageBuildFailure(error: "internal", message: "\(call) \(object): \(String(cString: strerror(number)))")
    }

    /// Any error as a failure of the build.
    static func failure(of error: any Error) -> ImageBuildFailure {
        switch error {
        case let failure as ImageBuildFailure:
            return failure
        case is CancellationError:
            return ImageBuildFailure(error: "cancelled", message: "The build was cancelled.")
        case let error as OCIError where error.message.contains(String(cString: strerror(ENOSPC))):
            return Self.failure("write", error.message, ENOSPC)
        case let error as OCIError:
            return ImageBuildFailure(
                error: "internal", message: error.message, hint: error.hint.isEmpty ? nil : error.hint)
        default:
            return ImageBuildFailure(error: "internal", message: "\(error)")
        }
    }

    /// Makes a private directory and its parents; one that exists must belong to us alone.
    static func makePrivate(_ path: String) throws {
        try Files.makeDirectories(parent(path), mode: 0o700)
        if mkdir(path, 0o700) != 0 {
            guard errno == EEXIST else { throw failure("mkdir", path, errno) }
        }
        guard let status = Files.status(path), status.st_mode & S_IFMT == S_IFDIR else {
            throw ImageBuildFailure(error: "internal", message: "\(path) is not a directory.", hint: "Remove it; Berth makes it anew.")
        }
        guard status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw ImageBuildFailure(
                error: "internal", message: "\(path) can be reached by other users.", hint: "chown root: \(path); chmod 0700 \(path)")
        }
    }

    static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// Puts what was built under `from` in its final place, for good: the data is on the disk before the name is.
    ///
    /// One flush of the file system instead of one per file: a Python tree has thousands.
    static func publish(_ from: String, as to: String) throws {
        try flush(from, clinux_syncfs)
        guard rename(from, to) == 0 else { throw failure("rename", to, errno) }
        try flush(parent(to)) { fsync($0) == 0 ? 0 : -errno }
    }

    private static func flush(_ path: String, _ call: (Int32) -> Int32) throws {
        let descriptor = Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
        guard descriptor.value >= 0 else { throw failure("open", path, errno) }
        let result = call(descriptor.value)
        guard result == 0 else { throw failure("sync", path, -result) }
    }

    /// Writes a small file so that it is there whole or not at all.
    static func replace(_ path: String, _ bytes: [UInt8], staging: String) throws {
        let temporary = staging + "/" + Identifier.random()
        let descriptor = Descriptor(open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600))
        guard descriptor.value >= 0 else { throw failure("open", temporary, errno) }
        do {
            try write(descriptor.value, bytes, path)
            guard fsync(descriptor.value) == 0 else { throw failure("fsync", path, errno) }
            guard rename(temporary, path) == 0 else { throw failure("rename", path, errno) }
        } catch {
            unlink(temporary)
            throw error
        }
        try flush(parent(path)) { fsync($0) == 0 ? 0 : -errno }
    }

    static func write(_ descriptor: Int32, _ bytes: [UInt8], _ name: String) throws {
        try bytes.withUnsafeBytes { try write(descriptor, $0, name) }
    }

    static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ name: String) throws {
        let number = Files.write(bytes, to: descriptor)
        guard number == 0 else { throw failure("write", name, number) }
    }

    /// A regular file's bytes, without following a link at its end; nil when there is none or it is larger than `limit`.
    static func read(_ path: String, limit: Int) -> [UInt8]? { read(path, limit: limit, flags: O_NOFOLLOW) }

    /// The same for a file of the host's own, which may be a link.
    static func readFollowing(_ path: String, limit: Int) -> [UInt8]? { read(path, limit: limit, flags: 0) }

    private static func read(_ path: String, limit: Int, flags: Int32) -> [UInt8]? {
        let descriptor = Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags))
        guard descriptor.value >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor.value, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= limit else { return nil }
        guard let bytes = Files.bytes(of: descriptor.value, upTo: limit + 1), bytes.count <= limit else { return nil }
        return bytes
    }
}

/// Names of things that are being made.
enum Identifier {
    static func random() -> String {
        let value = UInt64.random(in: .min ... .max)
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The 64 hex digits of `sha256:…`, or nil.
    static func hex(ofDigest digest: String) -> String? {
        guard digest.hasPrefix("sha256:") else { return nil }
        let hex = digest.dropFirst(7)
        guard hex.utf8.count == 64, isHex(hex) else { return nil }
        return String(hex)
    }

    static func isHex(_ text: some StringProtocol) -> Bool {
        text.utf8.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
    }
}
