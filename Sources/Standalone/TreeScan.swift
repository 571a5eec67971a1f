import Glibc
import StdioBridge

/// The files below a directory as they are now. A pure value; looking is `scan`.
struct TreeScan: Sendable, Equatable {
    /// What changes when a file does.
    struct Stamp: Sendable, Equatable {
        var seconds: Int
        var nanoseconds: Int
        var size: Int
        var inode: UInt64
    }

    /// By path from the directory.
    var files: [String: Stamp]
    /// There is more than is looked at.
    var isCut = false
    private var folders = 0

    static let limit = 10_000

    init(files: [String: Stamp] = [:]) {
        self.files = files
    }

    private static let leftOut: Set = ["node_modules", "__pycache__", ".venv"]

    /// Looks at every file. Blocks: not for an event loop. Hidden directories and those of dependencies and caches are left out, links
    /// to directories are not followed; what cannot be read is not there.
    static func scan(_ directory: String, limit: Int = TreeScan.limit) -> TreeScan {
        var scan = TreeScan()
        scan.add(directory, below: "", limit)
        return scan
    }

    /// A path that differs between the two; the first by name.
    func difference(from other: TreeScan) -> String? {
        let changed = files.filter { other.files[$0.key] != $0.value }.keys
        let gone = other.files.keys.filter { files[$0] == nil }
        return (Array(changed) + gone).min()
    }

    private mutating func add(_ directory: String, below prefix: String, _ limit: Int) {
        var found: [String] = []
        // Trees of nothing but directories have an end too.
        folders += 1
        guard folders <= Self.limit else {
            isCut = true
            return
        }
        for name in directoryNames(directory) ?? [] {
            let path = directory + "/" + name
            var info = stat()
            guard lstat(path, &info) == 0 else { continue }
            let isLink = info.st_mode & S_IFMT == S_IFLNK
            if isLink, stat(path, &info) != 0 { continue }
            switch info.st_mode & S_IFMT {
            case S_IFDIR where !isLink:
                if !name.hasPrefix("."), !Self.leftOut.contains(name) { found.append(name) }
            case S_IFREG:
                guard files.count < limit else {
                    isCut = true
                    return
                }
                files[prefix + name] = Stamp(
                    seconds: info.st_mtim.tv_sec, nanoseconds: info.st_mtim.tv_nsec, size: Int(info.st_size), inode: UInt64(info.st_ino))
            default: break
            }
        }
        for name in found where !isCut { add(directory + "/" + name, below: prefix + name + "/", limit) }
    }
}
