import CLinux
import Glibc
import MachineAPI

/// How much a tree may hold.
public struct TreeLimits: Sendable, Equatable {
    public var bytes: Int
    public var entries: Int
    public var depth: Int

    public init(bytes: Int = 1 << 30, entries: Int = 200_000, depth: Int = 64) {
        self.bytes = bytes
        self.entries = entries
        self.depth = depth
    }
}

/// Copies a tree that foreign code wrote into one that may become a layer.
///
/// Nothing is repaired in place: directories, regular files and harmless links are made anew, owned by us, readable by all,
/// with the execute bit as the only bit kept. So owners, setuid bits, capabilities, access lists and hard links cannot come
/// along, and a kind of file that is not expected is refused. No link is followed anywhere.
struct TreeCopy {
    enum Links {
        /// Relative ones that cannot leave the tree.
        case inside
        /// Any (a distribution's own tree, whose root will be the machine's root).
        case any
    }

    var limits: TreeLimits
    var links = Links.inside
    /// Whether devices, fifos and sockets are left out instead of refused.
    var leavesOutSpecials = false
    /// Whether several names of one file stay several names of one file, which counts once; else each gets its own.
    var keepsHardLinks = false
    /// Whether an entry (path below the root, no slash in front) is left out.
    var leavesOut: @Sendable (String) -> Bool = { _ in false }

    private(set) var bytes = 0
    private(set) var entries = 0
    /// Where the first name of a file with several was copied to.
    private var copies: [FileName: String] = [:]

    private struct FileName: Hashable {
        var device: dev_t
        var inode: ino_t
    }

    init(
        limits: TreeLimits, links: Links = .inside, leavesOutSpecials: Bool = false, keepsHardLinks: Bool = false,
        leavesOut: @escaping @Sendable (String) -> Bool = { _ in false }
    ) {
        self.limits = limits
        self.links = links
        self.leavesOutSpecials = leavesOutSpecials
        self.keepsHardLinks = keepsHardLinks
        self.leavesOut = leavesOut
    }

    /// Copies what is in `source`, a directory of ours, into `destination`; directories that exist there are filled up.
    ///
    /// - Parameter below: where in `source` to begin. Foreign code made that way, so each step of it is a real directory.
    mutating func copy(_ source: String, below: String = "", to destination: String) throws {
        var from = Descriptor(open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard from.value >= 0 else { throw Disk.failure("open", source, errno) }
        for part in below.split(separator: "/") {
            let next = Descriptor(openat(from.value, String(part), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
            guard next.value >= 0 else { throw Self.refusal(below, "is no directory") }
            from = consume next
        }
        let to = Descriptor(open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard to.value >= 0 else { throw Disk.failure("open", destination, errno) }
        root = to.value
        try copy(from.value, to.value, path: "", depth: 0)
    }

    /// The directory that is copied into, while it is.
    private var root: Int32 = -1
    /// Bytes since the last look at the disk.
    private var unlooked = Self.lookBytes

    private static let lookBytes = 16 << 20
    private static let entryBytes = 4_096

    /// Calls, databases and the audit log need the rest of the disk.
    private mutating func look(before bytes: Int, in directory: Int32) throws {
        unlooked += bytes + Self.entryBytes
        guard unlooked >= Self.lookBytes else { return }
        unlooked = 0
        try BuildRoom.check(directory, fits: bytes)
    }

    private mutating func copy(_ from: Int32, _ to: Int32, path: String, depth: Int) throws {
        guard depth <= limits.depth else { throw Self.refusal(path, "lies too deep (more than \(limits.depth) directories)") }
        for name in try Self.names(from, path) {
            let entry = path.isEmpty ? name : path + "/" + name
            if leavesOut(entry) { continue }
            entries += 1
            try look(before: 0, in: to)
            guard entries <= limits.entries else {
                throw ImageBuildFailure(error: "image_too_large", message: "The image holds more than \(limits.entries) files.")
            }
            // An image's archive would read such a name as a deletion.
            guard !name.hasPrefix(".wh.") else { throw Self.refusal(entry, "has a name that images reserve") }
            var status = stat()
            guard fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { throw Disk.failure("stat", entry, errno) }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try copyDirectory(name, from, to, entry, depth)
            case S_IFREG: try copyFile(name, from, to, entry)
            case S_IFLNK: try copyLink(name, from, to, entry, depth)
            case _ where leavesOutSpecials: continue
            default: throw Self.refusal(entry, "is a device, a fifo or a socket")
            }
        }
    }

    private mutating func copyDirectory(_ name: String, _ from: Int32, _ to: Int32, _ entry: String, _ depth: Int) throws {
        guard mkdirat(to, name, 0o755) == 0 || errno == EEXIST else { throw Disk.failure("mkdir", entry, errno) }
        let source = Descriptor(openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard source.value >= 0 else { throw Disk.failure("open", entry, errno) }
        let target = Descriptor(openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard target.value >= 0 else { throw Self.refusal(entry, "is a directory here and something else there") }
        guard fchmod(target.value, 0o755) == 0 else { throw Disk.failure("chmod", entry, errno) }
        try copy(source.value, target.value, path: entry, depth: depth + 1)
    }

    private mutating func copyFile(_ name: String, _ from: Int32, _ to: Int32, _ entry: String) throws {
        let source = Descriptor(openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK))
        guard source.value >= 0 else { throw Disk.failure("open", entry, errno) }
        var status = stat()
        guard fstat(source.value, &status) == 0 else { throw Disk.failure("stat", entry, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Self.refusal(entry, "changed while it was copied") }
        if keepsHardLinks, status.st_nlink > 1 {
            let file = FileName(device: status.st_dev, inode: status.st_ino)
            if let first = copies[file] {
                // Our own copy, below directories of our own.
                guard linkat(root, first, to, name, 0) == 0 else { throw Disk.failure("link", entry, errno) }
                return
            }
            copies[file] = entry
        }
        bytes += Int(status.st_size)
        guard bytes <= limits.bytes else {
            throw ImageBuildFailure(
                error: "image_too_large", message: "The image holds more than \(limits.bytes >> 20) MiB.",
                hint: "Leave something out of it, or raise the bound: berth up --image-limit MIB.")
        }
        try look(before: Int(status.st_size), in: to)
        let target = Descriptor(openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600))
        guard target.value >= 0 else {
            throw errno == EEXIST ? Self.refusal(entry, "is there twice") : Disk.failure("open", entry, errno)
        }
        var left = Int(status.st_size)
        while left > 0 {
            let count = clinux_copy_file(source.value, target.value, left)
            if count == -Int(EINTR) { continue }
            guard count >= 0 else { throw Disk.failure("copy", entry, Int32(-count)) }
            guard count > 0 else { throw Self.refusal(entry, "changed while it was copied") }
            left -= count
        }
        guard fchmod(target.value, status.st_mode & 0o111 != 0 ? 0o755 : 0o644) == 0 else { throw Disk.failure("chmod", entry, errno) }
    }

    private func copyLink(_ name: String, _ from: Int32, _ to: Int32, _ entry: String, _ depth: Int) throws {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(from, name, &buffer, buffer.count - 1)
        guard count > 0 else { throw Disk.failure("readlink", entry, errno) }
        let target = String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if links == .inside, !Self.staysInside(target, depth: depth) {
            throw Self.refusal(entry, "is a link that leaves its tree (\(target.prefix(100)))")
        }
        guard symlinkat(target, to, name) == 0 else { throw Disk.failure("symlink", entry, errno) }
    }

    /// Whether a link in a directory `depth` levels below the root stays below it, wherever its way leads over other links
    /// that obey the same rule: relative, `..` in front only, and no more of it than there are levels.
    static func staysInside(_ target: String, depth: Int) -> Bool {
        guard !target.isEmpty, !target.hasPrefix("/") else { return false }
        var ups = 0
        var descended = false
        for part in target.split(separator: "/") where part != "." {
            if part == ".." {
                if descended { return false }
                ups += 1
            } else {
                descended = true
            }
        }
        return ups <= depth
    }

    static func names(_ descriptor: Int32, _ path: String) throws -> [String] {
        let copy = dup(descriptor)
        guard copy >= 0, let stream = fdopendir(copy) else { throw Disk.failure("opendir", path, errno) }
        defer { closedir(stream) }
        rewinddir(stream)
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw Disk.failure("readdir", path, errno) }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: UInt8.self, capacity: Int(NAME_MAX) + 1) { bytes in
                    String(
                        validating: UnsafeBufferPointer(start: bytes, count: strlen(UnsafeRawPointer(bytes).assumingMemoryBound(to: CChar.self))),
                        as: UTF8.self)
                }
            }
            guard let name else { throw refusal(path.isEmpty ? "/" : path, "holds a name that is not UTF-8") }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    static func refusal(_ path: String, _ reason: String) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "unsafe_content", message: "\(path) \(reason).", hint: "An image holds directories, files and links inside its own tree.")
    }
}
