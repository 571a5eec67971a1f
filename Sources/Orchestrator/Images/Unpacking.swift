import Glibc
import MachineAPI

/// Writes the entries of an uploaded archive below a directory, never through a link and never over what is there.
struct Unpacking {
    private let limits: TreeLimits
    private var bytes = 0
    private var entries = 0
    private var reader = TarReader()
    private var input: Int32
    private var chunk = [UInt8](repeating: 0, count: 256 << 10)

    private init(input: Int32, limits: TreeLimits, links: TreeCopy.Links) {
        self.input = input
        self.limits = limits
        reader.links = links
    }

    /// Unpacks the archive at `path` into the existing, empty `directory`.
    ///
    /// - Parameter links: those that the archive may hold. None is followed here, whichever.
    static func unpack(_ path: String, into directory: String, limits: TreeLimits, links: TreeCopy.Links = .inside) throws {
        let input = Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
        guard input.value >= 0 else { throw Disk.failure("open", path, errno) }
        let root = Descriptor(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard root.value >= 0 else { throw Disk.failure("open", directory, errno) }
        var unpacking = Unpacking(input: input.value, limits: limits, links: links)
        do {
            try unpacking.run(root.value)
        } catch let refusal as TarReader.Refusal {
            throw bad(refusal.reason)
        }
    }

    private mutating func run(_ root: Int32) throws {
        while true {
            switch try reader.header(try bytes(TarReader.block)) {
            case .end:
                return
            case .skip(let size):
                try copy(size, to: nil)
            case .record(let size):
                try reader.record(try bytes(size))
                try skip(TarReader.padding(size))
            case .entry(let entry):
                try write(entry, root)
            }
        }
    }

    private mutating func write(_ entry: TarReader.Entry, _ root: Int32) throws {
        let shown = entry.path.joined(separator: "/")
        guard let name = entry.path.last else {
            try copy(entry.size, to: nil)
            return
        }
        entries += 1
        bytes += entry.size
        guard entries <= limits.entries, bytes <= limits.bytes, entry.path.count <= limits.depth else {
            throw ImageBuildFailure(
                error: "image_too_large", message: "What was uploaded holds too much.",
                hint:
                    "At most \(limits.bytes >> 20) MiB (berth up --image-limit MIB), \(limits.entries) files and \(limits.depth) levels; leave caches out."
            )
        }
        let folder = Descriptor(try Self.directory(entry.path.dropLast(), root))
        switch entry.kind {
        case .directory:
            guard mkdirat(folder.value, name, 0o755) == 0 || errno == EEXIST else { throw Disk.failure("mkdir", shown, errno) }
            // What is there may be a file or a link of an earlier entry.
            close(try Self.directory([name], folder.value))
            try copy(entry.size, to: nil)
        case .file(let isExecutable):
            let file = Descriptor(openat(folder.value, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600))
            guard file.value >= 0 else { throw errno == EEXIST ? Self.bad("\(shown) is in it twice") : Disk.failure("open", shown, errno) }
            try copy(entry.size, to: file.value)
            guard fchmod(file.value, isExecutable ? 0o755 : 0o644) == 0 else { throw Disk.failure("chmod", shown, errno) }
        case .link(let target):
            guard symlinkat(target, folder.value, name) == 0 else {
                throw errno == EEXIST ? Self.bad("\(shown) is in it twice") : Disk.failure("symlink", shown, errno)
            }
            try copy(entry.size, to: nil)
        case .sameFile(let other):
            let parts = other.split(separator: "/").map(String.init)
            guard let last = parts.last else { throw Self.bad("\(shown) is a link to nothing") }
            let source = Descriptor(try Self.directory(parts.dropLast(), root))
            var status = stat()
            guard fstatat(source.value, last, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG else {
                throw Self.bad("\(shown) is a link to a file that is not in it")
            }
            guard linkat(source.value, last, folder.value, name, 0) == 0 else {
                throw errno == EEXIST ? Self.bad("\(shown) is in it twice") : Disk.failure("link", shown, errno)
            }
            try copy(entry.size, to: nil)
        }
    }

    /// Opens a directory below `root`, making what is missing; a link on the way is refused by the kernel.
    private static func directory(_ parts: some Sequence<String>, _ root: Int32) throws -> Int32 {
        var current = Descriptor(openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        guard current.value >= 0 else { throw Disk.failure("open", "/", errno) }
        for part in parts {
            guard mkdirat(current.value, part, 0o755) == 0 || errno == EEXIST else { throw Disk.failure("mkdir", part, errno) }
            let next = Descriptor(openat(current.value, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
            guard next.value >= 0 else { throw bad("\(part) is a directory and something else in it") }
            guard fchmod(next.value, 0o755) == 0 else { throw Disk.failure("chmod", part, errno) }
            current = consume next
        }
        return current.release()
    }

    private mutating func copy(_ size: Int, to output: Int32?) throws {
        var left = size
        while left > 0 {
            let count = read(input, &chunk, min(chunk.count, left))
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Self.bad("it is cut off") }
            if let output { try chunk.withUnsafeBytes { try Disk.write(output, UnsafeRawBufferPointer(rebasing: $0[0..<count]), "upload") } }
            left -= count
        }
        try skip(TarReader.padding(size))
    }

    private mutating func skip(_ count: Int) throws {
        if count > 0 { _ = try bytes(count) }
    }

    private mutating func bytes(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var offset = 0
        while offset < count {
            let got = bytes.withUnsafeMutableBytes { read(input, $0.baseAddress.map { $0 + offset }, count - offset) }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { throw Self.bad("it is cut off") }
            offset += got
        }
        return bytes
    }

    private static func bad(_ reason: String) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "bad_upload", message: "The uploaded folder cannot be used: \(reason).",
            hint: "Upload an uncompressed tar archive of plain files, directories and links inside the folder.")
    }
}
