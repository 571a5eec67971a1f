import Glibc

/// OCI runtimes beside the host's own that have booted a machine here (`berth doctor --runtime PATH`), by path: the file that root
/// wrote, and what the program was then. Nobody else can have the orchestrator run a program as root.
struct TriedRuntimes: Sendable {
    /// `<state>/orchestrator`; empty for none.
    let directory: String

    private var file: String { directory + "/runtimes" }
    private static let limit = 16

    /// Notes that a runtime works; it was tried just now.
    func add(_ path: String) throws(OCIError) {
        guard let mark = Self.mark(path) else { throw OCIError(.noRuntime, "\(path) cannot be executed") }
        let others = lines.filter { $0.path != path }.suffix(Self.limit - 1)
        let text = (others + [(path, mark)]).map { "\($0.1) \($0.0)\n" }.joined()
        let fresh = file + ".new"
        try Files.write(fresh, Array(text.utf8))
        guard rename(fresh, file) == 0 else { throw OCIError.system("rename", file, errno) }
    }

    /// - Throws: 412 `runtime_not_tried`: never tried, or changed since.
    func check(_ path: String) throws(MachineFailure) {
        guard OCIConfiguration.runtimeCandidates.contains(path) && access(path, X_OK) == 0 || lines.contains(where: { $0.path == path && $0.mark == Self.mark(path) })
        else {
            let isKnown = lines.contains { $0.path == path }
            throw MachineFailure(
                .preconditionFailed, "runtime_not_tried",
                "failed_precondition: the runtime \(path.prefix(256)) \(isKnown ? "is not the program any more that was tried on this host" : "has not been tried on this host")",
                field: "config.berth.runtime", hint: "as root: berth doctor --runtime \(path.prefix(256))", details: ["reason": "runtime_not_tried"])
        }
    }

    private var lines: [(path: String, mark: String)] {
        guard !directory.isEmpty else { return [] }
        return (Files.read(file, limit: 64 << 10) ?? "").split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ", maxSplits: 1)
            return parts.count == 2 ? (String(parts[1]), String(parts[0])) : nil
        }
    }

    /// What the program is now: device, inode, size and time of its last change. `nil` where it is none that root alone can change, or
    /// put another one in the place of.
    static func mark(_ path: String) -> String? {
        var status = stat()
        guard isRootsAlone(path), stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == 0, status.st_mode & 0o022 == 0, access(path, X_OK) == 0
        else { return nil }
        let changed = Files.parts(of: status.st_ctim)
        return "\(status.st_dev):\(status.st_ino):\(status.st_size):\(changed.seconds).\(changed.nanoseconds)"
    }

    /// Whether root alone can change where a path leads: every directory on the way, links followed one by one, is root's, and nobody else
    /// may write into it, or take away what is root's in it (`/tmp`).
    private static func isRootsAlone(_ path: String, depth: Int = 0) -> Bool {
        guard path.hasPrefix("/"), depth < 8 else { return false }
        var parts = path.split(separator: "/").filter { $0 != "." }
        guard !parts.contains("..") else { return false }
        var here = ""
        while true {
            var status = stat()
            guard lstat(here.isEmpty ? "/" : here, &status) == 0, status.st_uid == 0 else { return false }
            let rest = parts.map { "/" + $0 }.joined()
            switch status.st_mode & S_IFMT {
            case S_IFLNK:
                guard let target = Files.link(here) else { return false }
                let above = here[..<(here.lastIndex(of: "/") ?? here.startIndex)]
                return isRootsAlone((target.hasPrefix("/") ? target : above + "/" + target) + rest, depth: depth + 1)
            case S_IFDIR:
                guard status.st_mode & 0o022 == 0 || status.st_mode & S_ISVTX != 0 else { return false }
            default: return parts.isEmpty
            }
            guard !parts.isEmpty else { return false }
            here += "/" + parts.removeFirst()
        }
    }
}
