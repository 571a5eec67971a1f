import Glibc
import MachineAPI
import Sealing

/// A directory as the archive of an OCI layer.
///
/// The bytes are those of `tar --format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C DIR -c .` (GNU tar),
/// so that a layer's digest depends on its content alone and anybody can check it with a tool at hand.
struct LayerArchive {
    /// What a manifest says of a layer; uncompressed, so the digest is also the diff id.
    struct Digest: Codable, Sendable, Equatable {
        var hex: String
        var size: Int
    }

    private static let block = 512
    private static let record = 10240

    private let hash: SHA256
    private var size = 0
    private let output: (([UInt8]) throws -> Void)?
    private var chunk = [UInt8](repeating: 0, count: 256 << 10)
    /// Names of files that have several, by device and inode.
    private var names: [[UInt64]: String] = [:]

    private init(output: (([UInt8]) throws -> Void)?) throws {
        hash = try SHA256()
        self.output = output
    }

    /// The digest of `directory` as a layer.
    static func digest(of directory: String) throws -> Digest { try digest(of: directory, nil) }

    /// The same, the archive handed out piece by piece.
    static func digest(of directory: String, _ output: (([UInt8]) throws -> Void)?) throws -> Digest {
        var archive = try LayerArchive(output: output)
        let root = Descriptor(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard root.value >= 0 else { throw Disk.failure("open", directory, errno) }
        var status = stat()
        guard fstat(root.value, &status) == 0 else { throw Disk.failure("stat", directory, errno) }
        try archive.header(name: "./", mode: status.st_mode, size: 0, type: UInt8(ascii: "5"))
        try archive.walk(root.value, path: ".")
        // Two empty blocks end an archive, which is a whole number of records long.
        let end = archive.size + 2 * block
        try archive.emit([UInt8](repeating: 0, count: (end + record - 1) / record * record - archive.size))
        return Digest(hex: Hex.encode(try archive.hash.finish()), size: archive.size)
    }

    private mutating func walk(_ directory: Int32, path: String) throws {
        let names = try TreeCopy.names(directory, path).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for name in names {
            let entry = path + "/" + name
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { throw Disk.failure("stat", entry, errno) }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                let child = Descriptor(openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
                guard child.value >= 0 else { throw Disk.failure("open", entry, errno) }
                try header(name: entry + "/", mode: status.st_mode, size: 0, type: UInt8(ascii: "5"))
                try walk(child.value, path: entry)
            case S_IFREG:
                try file(directory, name, entry)
            case S_IFLNK:
                var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
                let count = readlinkat(directory, name, &buffer, buffer.count - 1)
                guard count > 0 else { throw Disk.failure("readlink", entry, errno) }
                let target = buffer[0..<count].map { UInt8(bitPattern: $0) }
                try header(name: entry, mode: status.st_mode, size: 0, type: UInt8(ascii: "2"), link: target)
            default:
                throw TreeCopy.refusal(entry, "cannot be in a layer")
            }
        }
    }

    private mutating func file(_ directory: Int32, _ name: String, _ entry: String) throws {
        let descriptor = Descriptor(openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK))
        guard descriptor.value >= 0 else { throw Disk.failure("open", entry, errno) }
        var status = stat()
        guard fstat(descriptor.value, &status) == 0 else { throw Disk.failure("stat", entry, errno) }
        if status.st_nlink > 1 {
            let file = [UInt64(status.st_dev), UInt64(status.st_ino)]
            if let first = names[file] {
                try header(name: entry, mode: status.st_mode, size: 0, type: UInt8(ascii: "1"), link: Array(first.utf8))
                return
            }
            names[file] = entry
        }
        try header(name: entry, mode: status.st_mode, size: Int(status.st_size), type: UInt8(ascii: "0"))
        var left = Int(status.st_size)
        while left > 0 {
            let count = read(descriptor.value, &chunk, min(chunk.count, left))
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Disk.failure("read", entry, count < 0 ? errno : EIO) }
            try chunk.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
            left -= count
        }
        try pad(Int(status.st_size))
    }

    private mutating func header(name: String, mode: mode_t, size: Int, type: UInt8, link: [UInt8] = []) throws {
        let name = Array(name.utf8)
        if link.count > 100 { try long(link, type: UInt8(ascii: "K")) }
        if name.count > 100 { try long(name, type: UInt8(ascii: "L")) }
        try block(name: name.prefix(100), mode: mode & 0o7777, size: size, type: type, link: link.prefix(100))
    }

    private mutating func long(_ text: [UInt8], type: UInt8) throws {
        try block(name: Array("././@LongLink".utf8)[...], mode: 0o644, size: text.count + 1, type: type, link: [])
        try emit(text + [0])
        try pad(text.count + 1)
    }

    private mutating func block(name: ArraySlice<UInt8>, mode: mode_t, size: Int, type: UInt8, link: ArraySlice<UInt8>) throws {
        var bytes = [UInt8](repeating: 0, count: Self.block)
        func put(_ value: some Sequence<UInt8>, at offset: Int) { for (index, byte) in value.enumerated() { bytes[offset + index] = byte } }
        put(name, at: 0)
        put(Self.octal(Int(mode), digits: 7), at: 100)
        put(Self.octal(0, digits: 7), at: 108)
        put(Self.octal(0, digits: 7), at: 116)
        put(Self.octal(size, digits: 11), at: 124)
        put(Self.octal(0, digits: 11), at: 136)
        put([UInt8](repeating: UInt8(ascii: " "), count: 8), at: 148)
        bytes[156] = type
        put(link, at: 157)
        put("ustar  ".utf8, at: 257)
        let sum = bytes.reduce(0) { $0 + Int($1) }
        put(Self.octal(sum, digits: 6), at: 148)
        bytes[154] = 0
        try emit(bytes)
    }

    private static func octal(_ value: Int, digits: Int) -> [UInt8] {
        let text = String(value, radix: 8)
        return [UInt8](repeating: UInt8(ascii: "0"), count: max(0, digits - text.utf8.count)) + Array(text.utf8)
    }

    private mutating func pad(_ size: Int) throws {
        let rest = size % Self.block
        if rest > 0 { try emit([UInt8](repeating: 0, count: Self.block - rest)) }
    }

    private mutating func emit(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try emit($0) }
    }

    private mutating func emit(_ bytes: UnsafeRawBufferPointer) throws {
        try hash.update(bytes)
        size += bytes.count
        if let output { try output(Array(bytes)) }
    }
}
