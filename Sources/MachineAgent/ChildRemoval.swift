import CLinux
import Glibc

/// The `kill` mode: removes what a child left, processes first, then files. It runs under the child's own uid, which is
/// the only one that may do either, and which nobody else ever has.
enum ChildRemoval {
    /// Where a child can have written.
    private static let roots = ["/tmp", "/dev/shm", "/var/tmp"]

    /// Exits with 1, and a line that says where, if anything is left.
    static func run(uid: uid_t) -> Never {
        let result = clinux_become(uid, uid)
        if result < 0 { ChildShim.fail("kill: identity", -result) }
        // Descendants of any depth, group or session: no enumeration can miss one that is being forked. Twice, since a
        // process that was dying may still have written while its files were removed.
        var left: [String] = []
        for _ in 0..<2 {
            kill(-1, SIGKILL)
            left = roots.filter { !FileRemoval(of: uid, in: $0).run() }
        }
        if left.isEmpty { exit(0) }
        let line = "berth-agent kill: files of uid \(uid) are left in \(left.joined(separator: ", "))\n"
        _ = write(2, line, line.utf8.count)
        exit(1)
    }
}

/// Removes all that one uid owns in a shared directory, whatever its depth and number, with three descriptors and no list:
/// a directory that is not empty is moved up beside its parent, so that none is ever entered deeper than twice.
///
/// Names are bytes as the kernel gives them, links are never followed, and what another uid put into a directory of this
/// one is moved out of it for its own removal to find.
struct FileRemoval {
    private let uid: uid_t
    private let root: String
    private var moves = 0

    init(of uid: uid_t, in root: String) {
        self.uid = uid
        self.root = root
    }

    /// What became of one entry.
    private enum Outcome { case gone, moved, kept, foreign }

    /// Whether nothing is left.
    func run() -> Bool {
        var removal = self
        guard let directory = Self.directory(root, in: AT_FDCWD) else { return errno == ENOENT }
        defer { closedir(directory) }
        return removal.untilNothingChanges(directory) { removal, name in removal.removeTree(name, in: directory) }
    }

    /// An entry of the root, with everything below it.
    private mutating func removeTree(_ name: [CChar], in parent: OpaquePointer) -> Outcome {
        guard let info = Self.status(name, in: parent) else { return .gone }
        guard info.st_uid == uid else { return .foreign }
        let outcome = removeSimple(name, info, in: parent)
        guard outcome == .kept, info.isDirectory, let tree = opened(name, in: parent) else { return outcome }
        defer { closedir(tree) }
        _ = untilNothingChanges(tree) { removal, name in removal.flatten(name, in: tree, root: parent) }
        return Self.unlink(name, in: parent, AT_REMOVEDIR) ? .gone : .kept
    }

    /// An entry of a tree: what it holds is removed, or moved up beside it.
    private mutating func flatten(_ name: [CChar], in tree: OpaquePointer, root: OpaquePointer) -> Outcome {
        guard let info = Self.status(name, in: tree) else { return .gone }
        guard info.st_uid == uid else { return move(name, from: tree, to: root) }
        let outcome = removeSimple(name, info, in: tree)
        guard outcome == .kept, info.isDirectory, let inner = opened(name, in: tree) else { return outcome }
        defer { closedir(inner) }
        _ = untilNothingChanges(inner) { removal, name in
            guard let info = Self.status(name, in: inner) else { return .gone }
            guard info.st_uid == removal.uid else { return removal.move(name, from: inner, to: root) }
            let outcome = removal.removeSimple(name, info, in: inner)
            guard outcome == .kept, info.isDirectory else { return outcome }
            // A directory's owner must be able to write it for it to get another parent.
            fchmodat(dirfd(inner), name, 0o700, AT_SYMLINK_NOFOLLOW)
            return removal.move(name, from: inner, to: tree)
        }
        return Self.unlink(name, in: tree, AT_REMOVEDIR) ? .gone : .kept
    }

    /// Whatever is no directory, or an empty one.
    private func removeSimple(_ name: [CChar], _ info: stat, in parent: OpaquePointer) -> Outcome {
        Self.unlink(name, in: parent, info.isDirectory ? AT_REMOVEDIR : 0) ? .gone : .kept
    }

    /// To a name that nobody has: what another uid has at it, the sticky bit keeps; what is ours is to go anyway.
    private mutating func move(_ name: [CChar], from: OpaquePointer, to: OpaquePointer) -> Outcome {
        for _ in 0..<100 {
            moves += 1
            let free = ".berth-\(uid)-\(getpid())-\(moves)"
            var there = stat()
            if fstatat(dirfd(to), free, &there, AT_SYMLINK_NOFOLLOW) == 0 { continue }
            return renameat(dirfd(from), name, dirfd(to), free) == 0 ? .moved : .kept
        }
        return .kept
    }

    /// Goes through the entries again and again, since some come while others go; whether none is kept at the end.
    private mutating func untilNothingChanges(
        _ directory: OpaquePointer, _ body: (inout FileRemoval, [CChar]) -> Outcome
    ) -> Bool {
        while true {
            var (changed, kept) = (false, false)
            rewinddir(directory)
            while let entry = readdir(directory) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0] }
                if name == [0x2E, 0] || name == [0x2E, 0x2E, 0] { continue }
                switch body(&self, name) {
                case .gone, .moved: changed = true
                case .kept: kept = true
                case .foreign: break
                }
            }
            if !changed { return !kept }
        }
    }

    // MARK: System calls

    /// A directory of ours, opened to its owner first, and to nobody else: no sibling can put anything into it any more.
    private func opened(_ name: [CChar], in parent: OpaquePointer) -> OpaquePointer? {
        fchmodat(dirfd(parent), name, 0o700, AT_SYMLINK_NOFOLLOW)
        guard let directory = name.withUnsafeBufferPointer({ $0.baseAddress.flatMap { Self.directory($0, in: dirfd(parent)) } }) else { return nil }
        var info = stat()
        if fstat(dirfd(directory), &info) == 0, info.st_uid == uid { return directory }
        closedir(directory)
        return nil
    }

    private static func directory(_ name: UnsafePointer<CChar>, in parent: Int32) -> OpaquePointer? {
        let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        guard let directory = fdopendir(descriptor) else {
            close(descriptor)
            return nil
        }
        return directory
    }

    private static func status(_ name: [CChar], in parent: OpaquePointer) -> stat? {
        var info = stat()
        return fstatat(dirfd(parent), name, &info, AT_SYMLINK_NOFOLLOW) == 0 ? info : nil
    }

    private static func unlink(_ name: [CChar], in parent: OpaquePointer, _ flags: Int32) -> Bool {
        unlinkat(dirfd(parent), name, flags) == 0 || errno == ENOENT
    }
}

extension stat {
    fileprivate var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
}
