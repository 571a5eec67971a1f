import Glibc

/// A directory that holds state: private to its owner, writable, and of a version that this program understands.
public struct StateDirectory: Sendable {
    /// Layout that this version writes, in the file `version`.
    public static let currentVersion = 1

    public let path: String

    /// Creates the directory (0700) if it is not there, checks it, and reads or writes its `version` file.
    ///
    /// - Throws: ``StateError`` with `wide_mode`, `wrong_owner`, `read_only`, `newer_version` or `damaged`.
    public init(_ path: String, version: Int = currentVersion) throws(StateError) {
        try Self.prepare(path)
        self.path = path
        let file = file("version")
        guard let bytes = try PrivateFile.read(file, limit: 64) else {
            try PrivateFile.create(file, Array("\(version)\n".utf8))
            return
        }
        let text = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        guard let found = Int(text), found > 0 else {
            throw StateError(.damaged, "\(file) holds no version number", remedy: "restore the state directory from a backup")
        }
        guard found <= version else {
            throw StateError(
                .newerVersion, "\(path) was written by a newer berth (state version \(found), this one knows \(version))",
                remedy: "run that version, or use another state directory")
        }
    }

    /// The path of an entry.
    public func file(_ name: String) -> String { path + "/" + name }

    /// Creates `path` and its parents as needed (the last one 0700) and checks owner, mode and writability.
    public static func prepare(_ path: String) throws(StateError) {
        if access(path, F_OK) != 0 {
            try makeParents(of: path)
            if mkdir(path, 0o700) != 0, errno != EEXIST { throw .system(errno, "create", path) }
        }
        try check(path)
    }

    /// Checks an existing directory: ours, not wider than 0700, writable.
    public static func check(_ path: String) throws(StateError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .system(errno, "read", path) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw StateError(.damaged, "\(path) is not a directory", remedy: "move it away or choose another path")
        }
        guard status.st_uid == geteuid() else {
            throw StateError(
                .wrongOwner, "\(path) belongs to uid \(status.st_uid), not to uid \(geteuid())", remedy: "chown \(geteuid()) \(path)")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw StateError(.wideMode, "\(path) is open to other users (mode \(octal(status.st_mode)))", remedy: "chmod 700 \(path)")
        }
        guard access(path, W_OK | X_OK) == 0 else {
            throw StateError(.readOnly, "\(path) cannot be written", remedy: "make it writable or choose another state directory")
        }
    }

    private static func makeParents(of path: String) throws(StateError) {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        let parent = String(path[..<slash])
        guard access(parent, F_OK) != 0 else { return }
        try makeParents(of: parent)
        if mkdir(parent, 0o755) != 0, errno != EEXIST { throw .system(errno, "create", parent) }
    }
}

func octal(_ mode: mode_t) -> String {
    let digits = String(mode & 0o7777, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}
