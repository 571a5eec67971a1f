import AuthorCommands
import ConfigImport
import Glibc
import NIOCore
import StdioBridge

/// A server's folder as a tar: regular files, folders and links that stay inside. Left out (and named): version control,
/// environment files, private keys, virtual environments, caches, and what ``FolderAccess`` keeps where it is. A link that leaves the folder
/// is refused, and so are folders of the system and states of Berth.
struct FolderArchive {
    let tar: ByteBuffer
    let leftOut: [String]
    /// The folder's own name.
    let name: String

    static let maximumBytes = 256 << 20
    static let requirementsName = "requirements.txt"

    /// - Parameters:
    ///   - requirements: a file that takes the place of the folder's `requirements.txt`.
    ///   - lines: the lines of one, where there is no file.
    ///   - isNamedByFile: the folder stands in a client's configuration, which somebody else may have written.
    init(folder: String, requirements: String?, lines: [String]? = nil, isNamedByFile: Bool = false) throws {
        // What is judged and named is what was opened: somebody may own the way there.
        let top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard top >= 0 else {
            throw Failure("--dir \(folder) cannot be read: \(String(cString: strerror(errno)))", hint: "give a folder", code: 64)
        }
        defer { close(top) }
        guard let root = Self.linkText("/proc/self/fd/\(top)", in: AT_FDCWD), root.hasPrefix("/") else { throw Self.unreadable(folder, "") }
        let access = FolderAccess(caller: FolderPlace.caller, isNamedByFile: isNamedByFile)
        try FolderPlace.check(root, access)
        if isNamedByFile, let problem = ImportPlan.problem(ofFolder: root) { throw Failure(problem.reason, hint: problem.remedy) }
        var writer = TarWriter()
        var left: [String] = []
        try Self.add(
            top, "", root: root, replaced: requirements == nil && lines == nil ? nil : Self.requirementsName, access, to: &writer, leftOut: &left,
            depth: 0)
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

    /// Whoever owns the folder may change it meanwhile: each step is taken from an open directory, and no link is followed on the way.
    ///
    /// - Parameters:
    ///   - directory: open.
    ///   - replaced: a path in the folder that something else takes the place of.
    private static func add(
        _ directory: Int32, _ path: String, root: String, replaced: String?, _ access: FolderAccess, to writer: inout TarWriter,
        leftOut: inout [String], depth: Int
    ) throws {
        guard !FolderPlace.isState(directory) else { throw FolderPlace.state(path.isEmpty ? root : root + "/" + path) }
        var own = stat()
        guard fstat(directory, &own) == 0 else { throw unreadable(root, path) }
        guard depth <= 64 else { throw Failure("the folder is nested deeper than 64 levels at \(path)", hint: "flatten it", code: 64) }
        guard let names = directoryNames("/proc/self/fd/\(directory)") else { throw unreadable(root, path) }
        for name in names {
            let inner = path.isEmpty ? name : path + "/" + name
            let full = root + "/" + inner
            var info = stat()
            guard inner != replaced, fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            if isLeftOut(name, in: directory) {
                leftOut.append(inner)
                continue
            }
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                let child = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                guard child >= 0 else { throw unreadable(root, inner) }
                defer { close(child) }
                guard fstat(child, &info) == 0, access.mayTake(directory: .init(info)) else {
                    leftOut.append(inner + FolderPlace.closed)
                    continue
                }
                writer.directory(inner)
                try add(child, inner, root: root, replaced: replaced, access, to: &writer, leftOut: &leftOut, depth: depth + 1)
            case S_IFREG:
                let found = try read(name, in: directory, atMost: maximumBytes - writer.count, of: root, inner) {
                    access.mayTake($0, in: .init(own))
                }
                guard let (content, mode) = found else {
                    leftOut.append(inner + FolderPlace.closed)
                    continue
                }
                writer.file(inner, content, executable: mode & 0o100 != 0)
            case S_IFLNK:
                guard let target = realpath(full, nil) else { throw Failure("the link \(inner) leads nowhere", hint: "remove it", code: 64) }
                let reached = String(cString: target)
                free(target)
                guard reached.hasPrefix(root + "/") else {
                    throw Failure("the link \(inner) leaves the folder", hint: "copy what it names into the folder", code: 64)
                }
                // What it says now is looked at once more where it is unpacked.
                guard let text = linkText(name, in: directory), !text.hasPrefix("/") else {
                    throw Failure("the link \(inner) has an absolute target", hint: "make it relative", code: 64)
                }
                writer.link(inner, to: text)
            default:
                leftOut.append(inner + " (no file)")
            }
        }
    }

    private static func unreadable(_ root: String, _ path: String) -> Failure {
        Failure("\(root)/\(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give a folder that you can read", code: 64)
    }

    /// A regular file, as what was opened says; nil where it may not be taken.
    private static func read(
        _ name: String, in directory: Int32, atMost limit: Int, of root: String, _ path: String, if mayTake: (FolderAccess.Entry) -> Bool
    ) throws -> ([UInt8], mode_t)? {
        let file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { throw unreadable(root, path) }
        defer { close(file) }
        var info = stat()
        guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw Failure("\(root)/\(path) changed while it was read", hint: "run the command again", code: 64)
        }
        guard mayTake(.init(info)) else { return nil }
        guard Int(info.st_size) < limit else { throw Failure("the folder is over 256 MiB", hint: "leave data out of it", code: 64) }
        var content = [UInt8](repeating: 0, count: Int(info.st_size))
        var count = 0
        while count < content.count {
            let got = content.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress.map { $0 + count }, $0.count - count) }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw Failure("\(root)/\(path) changed while it was read", hint: "run the command again", code: 64) }
            count += got
        }
        return (content, info.st_mode)
    }

    private static func isLeftOut(_ name: String, in directory: Int32) -> Bool {
        if [".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".pytest_cache"].contains(name) { return true }
        if name.hasPrefix(".env") || name.hasPrefix("id_rsa") || name.hasPrefix("id_ed25519") || name.hasPrefix("id_ecdsa") { return true }
        if [".pem", ".key", ".p12", ".pfx", ".kdbx"].contains(where: name.hasSuffix) { return true }
        // A virtual environment under any other name.
        return faccessat(directory, name + "/pyvenv.cfg", F_OK, AT_SYMLINK_NOFOLLOW) == 0
    }

    private static func linkText(_ name: String, in directory: Int32) -> String? {
        var bytes = [CChar](repeating: 0, count: 4_096)
        let count = readlinkat(directory, name, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
