import Glibc
import MachineAPI
import NIOCore
import Sealing

/// Folders that were handed in, as tar archives named by their digest, until an image is made of them.
public final class Uploads: Sendable {
    /// What one archive may weigh.
    public let limit: Int

    private let directory: String

    /// Opens the place of uploads, making it, and removes what was cut off by an end of the process.
    ///
    /// - Parameter limit: bytes of one archive.
    public init(directory: String, limit: Int = 256 << 20) throws {
        self.directory = directory
        self.limit = limit
        try Disk.makePrivate(directory)
        for name in Files.names(directory) where name.hasPrefix("part-") { unlink(directory + "/" + name) }
    }

    /// Takes in a body of any length up to ``limit`` and answers its digest, `sha256:…`.
    public func receive<Body: AsyncSequence>(_ body: Body) async throws -> String where Body.Element == ByteBuffer {
        let writer = try begin()
        do {
            for try await part in body { try await writer.append(part) }
            return try await writer.finish()
        } catch {
            await writer.abandon()
            throw error
        }
    }

    /// Begins an upload that is fed by hand.
    public func begin() throws -> UploadWriter { try UploadWriter(directory: directory, limit: limit) }

    /// Forgets uploads that came earlier than that; images made of them live on. Answers how many.
    @discardableResult
    public func remove(olderThan age: Duration) async throws -> Int {
        let directory = directory
        return try await Disk.work {
            let limit = time(nil) - Int(age.components.seconds)
            var count = 0
            for name in Files.names(directory) where name.hasSuffix(".tar") {
                guard let status = Files.status(directory + "/" + name), Files.parts(of: status.st_mtim).seconds < limit else { continue }
                guard unlink(directory + "/" + name) == 0 else { continue }
                count += 1
            }
            return count
        }
    }

    /// Where an upload lies, or nil.
    func path(of digest: String) -> String? {
        guard let hex = Identifier.hex(ofDigest: digest) else { return nil }
        let path = directory + "/" + hex + ".tar"
        guard let status = Files.status(path), status.st_mode & S_IFMT == S_IFREG else { return nil }
        return path
    }
}

/// One upload on its way in. Used by one task.
public actor UploadWriter {
    private let directory: String
    private let path: String
    private let file: UploadFile
    private let limit: Int
    private var size = 0
    private var isOver = false

    init(directory: String, limit: Int) throws {
        self.directory = directory
        self.limit = limit
        path = directory + "/part-" + Identifier.random()
        file = try UploadFile(path)
    }

    /// Takes the next bytes.
    public func append(_ part: ByteBuffer) async throws {
        guard !isOver else { return }
        size += part.readableBytes
        guard size <= limit else {
            await abandon()
            throw ImageBuildFailure(
                error: "upload_too_large", message: "The upload is larger than \(limit >> 20) MiB.",
                hint: "Leave virtual environments, caches and data out, or raise the bound: berth up --image-limit MIB.")
        }
        let file = file
        try await Disk.work { try file.append(part) }
    }

    /// Keeps what came in and answers its digest, `sha256:…`.
    public func finish() async throws -> String {
        guard !isOver else { throw ImageBuildFailure(error: "bad_upload", message: "The upload is over.") }
        guard size > 0 else {
            await abandon()
            throw ImageBuildFailure(error: "bad_upload", message: "The upload is empty.", hint: "Send a tar archive of the folder.")
        }
        isOver = true
        let (file, directory, path) = (file, directory, path)
        return try await Disk.work {
            let hex = try file.finish()
            guard rename(path, directory + "/" + hex + ".tar") == 0 else { throw Disk.failure("rename", path, errno) }
            return "sha256:" + hex
        }
    }

    /// Drops what came in.
    public func abandon() async {
        guard !isOver else { return }
        isOver = true
        unlink(path)
    }
}

/// The open file of an upload. Only one job at a time works with it: ``UploadWriter`` awaits each.
private final class UploadFile: @unchecked Sendable {
    private let descriptor: Int32
    private let hash: SHA256

    init(_ path: String) throws {
        hash = try SHA256()
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Disk.failure("open", path, errno) }
    }

    deinit { close(descriptor) }

    func append(_ part: ByteBuffer) throws {
        try part.withUnsafeReadableBytes { bytes in
            try hash.update(bytes)
            try Disk.write(descriptor, bytes, "upload")
        }
    }

    func finish() throws -> String {
        guard fsync(descriptor) == 0 else { throw Disk.failure("fsync", "upload", errno) }
        return Hex.encode(try hash.finish())
    }
}
