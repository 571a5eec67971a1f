import CLinux
import Glibc
import NIOCore

/// A server's folder as a tar: regular files, folders and links that stay inside. Left out (and named): version control,
/// environment files, private keys, virtual environments, caches. A link that leaves the folder is refused.
struct FolderArchive {
    let tar: ByteBuffer
    let leftOut: [String]
    /// The folder's own name.
    let name: String

    static let maximumBytes = 256 << 20
    private static let requirementsName = "requirements.txt"

    init(folder: String, requirements: String?) throws {
        guard let resolved = realpath(folder, nil) else {
            throw Failure("--dir \(folder) cannot be read: \(String(cString: strerror(errno)))", hint: "give a folder", code: 64)
        }
        let root = String(cString: resolved)
        free(resolved)
        var writer = TarWriter()
        var left: [String] = []
        try Self.add("", root: root, replaced: requirements == nil ? nil : Self.requirementsName, to: &writer, leftOut: &left, depth: 0)
        if let requirements {
            guard let content = readFile(requirements) else {
                throw Failure("--requirements \(requirements) cannot be read: \(String(cString: strerror(errno)))", hint: "give a file", code: 64)
            }
            // The builder looks for it by this name, beside the folder's own files; the folder's own file of that name gives way.
            writer.file(Self.requirementsName, content, executable: false)
        }
        name = root.split(separator: "/").last.map(String.init) ?? "/"
        tar = writer.finish()
        leftOut = left
    }

    /// - Parameter replaced: a path in the folder that something else takes the place of.
    private static func add(
        _ path: String, root: String, replaced: String?, to writer: inout TarWriter, leftOut: inout [String], depth: Int
    ) throws {
        guard depth <= 64 else { throw Failure("the folder is nested deeper than 64 levels at \(path)", hint: "flatten it", code: 64) }
        guard let stream = opendir(root + "/" + path) else {
            throw Failure("\(root)/\(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give a folder that you can read", code: 64)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            if name != "." && name != ".." { names.append(name) }
        }
        for name in names.sorted() {
            let inner = path.isEmpty ? name : path + "/" + name
            let full = root + "/" + inner
            var info = stat()
            guard inner != replaced, lstat(full, &info) == 0 else { continue }
            if isLeftOut(name, full) {
                leftOut.append(inner)
                continue
            }
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                writer.directory(inner)
                try add(inner, root: root, replaced: replaced, to: &writer, leftOut: &leftOut, depth: depth + 1)
            case S_IFREG:
                guard writer.count + Int(info.st_size) < maximumBytes else {
                    throw Failure("the folder is over 256 MiB", hint: "leave data out of it", code: 64)
                }
                guard let content = readFile(full) else { throw Failure("\(full) cannot be read", hint: "give a folder that you can read", code: 64) }
                writer.file(inner, content, executable: info.st_mode & 0o100 != 0)
            case S_IFLNK:
                guard let target = realpath(full, nil) else { throw Failure("the link \(inner) leads nowhere", hint: "remove it", code: 64) }
                let reached = String(cString: target)
                free(target)
                guard reached.hasPrefix(root + "/") else {
                    throw Failure("the link \(inner) leaves the folder", hint: "copy what it names into the folder", code: 64)
                }
                guard let text = linkText(full), !text.hasPrefix("/") else {
                    throw Failure("the link \(inner) has an absolute target", hint: "make it relative", code: 64)
                }
                writer.link(inner, to: text)
            default:
                leftOut.append(inner + " (no file)")
            }
        }
    }

    private static func isLeftOut(_ name: String, _ path: String) -> Bool {
        if [".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".pytest_cache"].contains(name) { return true }
        if name.hasPrefix(".env") || name.hasPrefix("id_rsa") || name.hasPrefix("id_ed25519") || name.hasPrefix("id_ecdsa") { return true }
        if [".pem", ".key", ".p12", ".pfx", ".kdbx"].contains(where: name.hasSuffix) { return true }
        // A virtual environment under any other name.
        return access(path + "/pyvenv.cfg", F_OK) == 0
    }

    private static func linkText(_ path: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = bytes.withUnsafeMutableBytes { readLink(path, $0) }
        return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}

/// The bytes of a regular file; nil with errno set when it cannot be read.
func readFile(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
        errno = EINVAL
        return nil
    }
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { return nil }
        if count == 0 { return result }
        result.append(contentsOf: chunk.prefix(count))
    }
}

/// POSIX pax/ustar, written in order. Long names go into pax records.
struct TarWriter {
    private var bytes = ByteBuffer()
    var count: Int { bytes.readableBytes }

    mutating func directory(_ name: String) { entry(name + "/", type: "5", mode: 0o755, content: [], link: "") }
    mutating func file(_ name: String, _ content: [UInt8], executable: Bool) {
        entry(name, type: "0", mode: executable ? 0o755 : 0o644, content: content, link: "")
    }
    mutating func link(_ name: String, to target: String) { entry(name, type: "2", mode: 0o777, content: [], link: target) }

    mutating func finish() -> ByteBuffer {
        bytes.writeRepeatingByte(0, count: 1_024)
        return bytes
    }

    private mutating func entry(_ name: String, type: Character, mode: Int, content: [UInt8], link: String) {
        var records: [UInt8] = []
        if name.utf8.count > 100 { records += Self.record("path", name) }
        if link.utf8.count > 100 { records += Self.record("linkpath", link) }
        if !records.isEmpty { block("pax", type: "x", mode: 0o644, content: records, link: "") }
        block(String(name.suffix(90)), type: type, mode: mode, content: content, link: String(link.prefix(90)))
    }

    private mutating func block(_ name: String, type: Character, mode: Int, content: [UInt8], link: String) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int, _ limit: Int) {
            for (index, byte) in text.utf8.prefix(limit).enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int, at offset: Int, _ width: Int) {
            let digits = String(value, radix: 8)
            put(String(repeating: "0", count: max(0, width - 1 - digits.count)) + digits, at: offset, width - 1)
        }
        put(name, at: 0, 100)
        octal(mode, at: 100, 8)
        octal(0, at: 108, 8)
        octal(0, at: 116, 8)
        octal(content.count, at: 124, 12)
        octal(0, at: 136, 12)
        put("        ", at: 148, 8)
        put(String(type), at: 156, 1)
        put(link, at: 157, 100)
        put("ustar", at: 257, 6)
        put("00", at: 263, 2)
        octal(header.reduce(0) { $0 + Int($1) }, at: 148, 7)
        header[154] = 0
        bytes.writeBytes(header)
        bytes.writeBytes(content)
        bytes.writeRepeatingByte(0, count: (512 - content.count % 512) % 512)
    }

    private static func record(_ key: String, _ value: String) -> [UInt8] {
        let body = " \(key)=\(value)\n"
        var length = body.utf8.count + 1
        while "\(length)".utf8.count + body.utf8.count != length { length = "\(length)".utf8.count + body.utf8.count }
        return Array("\(length)\(body)".utf8)
    }
}

/// `readlink` into a buffer of bytes.
func readLink(_ path: String, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard let base = buffer.baseAddress else { return -1 }
    return readlink(path, base.assumingMemoryBound(to: CChar.self), buffer.count)
}
