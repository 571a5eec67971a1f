import AuthorCommands
import Glibc
import NIOCore
import StdioBridge

/// A server's folder as a tar: regular files, folders and links that stay inside. Left out (and named): version control,
/// environment files, private keys, virtual environments, caches. A link that leaves the folder is refused.
struct FolderArchive {
    let tar: ByteBuffer
    let leftOut: [String]
    /// The folder's own name.
    let name: String

    static let maximumBytes = 256 << 20
    private static let requirementsName = "requirements.txt"

    /// - Parameters:
    ///   - requirements: a file that takes the place of the folder's `requirements.txt`.
    ///   - lines: the lines of one, where there is no file.
    init(folder: String, requirements: String?, lines: [String]? = nil) throws {
        guard let resolved = realpath(folder, nil) else {
            throw Failure("--dir \(folder) cannot be read: \(String(cString: strerror(errno)))", hint: "give a folder", code: 64)
        }
        let root = String(cString: resolved)
        free(resolved)
        var writer = TarWriter()
        var left: [String] = []
        try Self.add("", root: root, replaced: requirements == nil && lines == nil ? nil : Self.requirementsName, to: &writer, leftOut: &left, depth: 0)
        if let requirements {
            guard let content = readFile(requirements) else {
                throw Failure("--requirements \(requirements) cannot be read: \(String(cString: strerror(errno)))", hint: "give a file", code: 64)
            }
            // The builder looks for it by this name, beside the folder's own files; the folder's own file of that name gives way.
            writer.file(Self.requirementsName, content, executable: false)
        }
        if let lines { writer.file(Self.requirementsName, Array((lines.joined(separator: "\n") + "\n").utf8), executable: false) }
        name = root.split(separator: "/").last.map(String.init) ?? "/"
        tar = writer.finish()
        leftOut = left
    }

    /// - Parameter replaced: a path in the folder that something else takes the place of.
    private static func add(
        _ path: String, root: String, replaced: String?, to writer: inout TarWriter, leftOut: inout [String], depth: Int
    ) throws {
        guard depth <= 64 else { throw Failure("the folder is nested deeper than 64 levels at \(path)", hint: "flatten it", code: 64) }
        guard let names = directoryNames(root + "/" + path) else {
            throw Failure("\(root)/\(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give a folder that you can read", code: 64)
        }
        for name in names {
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
