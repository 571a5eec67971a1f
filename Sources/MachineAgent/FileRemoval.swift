import CLinux
import Glibc

/// Removes all that one uid owns in a shared directory, whatever its depth and number, with three descriptors and no list:
/// a directory that is not empty is moved up beside its parent, so that none is ever entered deeper than twice.
///
/// Names are bytes as the kernel gives them, links are never followed, and what another uid put into a directory of this
/// one is moved out of it for its own removal to find. Another's full directory can be moved by that other alone: what
/// holds one stays as a *remnant*, open to the removals' group, for the other's removal to take it out.
struct FileRemoval {
    /// How deep below a root something may lie in remnants: directly in one, or in one that lies in another.
    static let remnantDepth = 2

    private let uid: uid_t
    private let root: String
    private let deadline: time_t
    private var moves = 0

    /// - Parameter deadline: in seconds of the monotonic clock; whoever adds as fast as this removes must not hold it for ever.
    init(of uid: uid_t, in root: String, until deadline: time_t) {
        self.uid = uid
        self.root = root
        self.deadline = deadline
    }

    /// Seconds of the monotonic clock.
    static func now() -> time_t {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec
    }

    /// What became of one entry.
    private enum Outcome { case gone, moved, kept, foreign }

    /// Whether nothing is left.
    func run() -> Bool {
        var removal = self
        guard let directory = SharedFolders.open(root, in: AT_FDCWD) else { return errno == ENOENT }
        defer { closedir(directory) }
        return removal.untilNothingChanges(directory) { removal, name in removal.removeTree(name, in: directory) }
    }

    /// An entry of the root, with everything below it.
    private mutating func removeTree(_ name: UnsafePointer<CChar>, in parent: OpaquePointer) -> Outcome {
        guard let info = SharedFolders.status(name, in: parent) else { return .gone }
        guard info.st_uid == uid else { return info.isRemnant ? takeOut(of: name, in: parent, root: parent, depth: 1) : .foreign }
        let outcome = removeSimple(name, info, in: parent)
        guard outcome == .kept, info.isDirectory, let tree = opened(name, in: parent) else { return outcome }
        defer { closedir(tree) }
        _ = untilNothingChanges(tree) { removal, name in removal.flatten(name, in: tree, root: parent) }
        return ended(name, info, tree, in: parent)
    }

    /// An entry of a tree: what it holds is removed, or moved up beside it.
    private mutating func flatten(_ name: UnsafePointer<CChar>, in tree: OpaquePointer, root: OpaquePointer) -> Outcome {
        guard let info = SharedFolders.status(name, in: tree) else { return .gone }
        guard info.st_uid == uid else { return move(name, from: tree, to: root) }
        let outcome = removeSimple(name, info, in: tree)
        guard outcome == .kept, info.isDirectory, let inner = opened(name, in: tree) else { return outcome }
        defer { closedir(inner) }
        _ = untilNothingChanges(inner) { removal, name in
            guard let info = SharedFolders.status(name, in: inner) else { return .gone }
            guard info.st_uid == removal.uid else { return removal.move(name, from: inner, to: root) }
            let outcome = removal.removeSimple(name, info, in: inner)
            guard outcome == .kept, info.isDirectory else { return outcome }
            return removal.moveOwn(name, from: inner, to: tree)
        }
        return ended(name, info, inner, in: tree)
    }

    /// What this uid has in a remnant of another's is moved up to the root, where it is an entry like any other.
    private mutating func takeOut(of name: UnsafePointer<CChar>, in parent: OpaquePointer, root: OpaquePointer, depth: Int) -> Outcome {
        guard let remnant = SharedFolders.open(name, in: dirfd(parent)) else { return .foreign }
        defer { closedir(remnant) }
        var (isAny, isKept) = (false, false)
        let isClean = untilNothingChanges(remnant) { removal, name in
            guard let info = SharedFolders.status(name, in: remnant) else { return .gone }
            guard info.st_uid == removal.uid else {
                guard info.isRemnant, depth < Self.remnantDepth else { return .foreign }
                switch removal.takeOut(of: name, in: remnant, root: root, depth: depth + 1) {
                case .moved: isAny = true
                case .kept: isKept = true
                case .gone, .foreign: break
                }
                return .foreign
            }
            let outcome = info.isDirectory ? removal.moveOwn(name, from: remnant, to: root) : removal.removeSimple(name, info, in: remnant)
            if outcome == .moved { isAny = true }
            return outcome
        }
        return isAny ? .moved : isClean && !isKept ? .foreign : .kept
    }

    /// Whatever is no directory, or an empty one.
    private func removeSimple(_ name: UnsafePointer<CChar>, _ info: stat, in parent: OpaquePointer) -> Outcome {
        // Whoever may write a file may give it another name (`fs.protected_hardlinks`): nobody may any more, under none of them.
        if info.st_mode & S_IFMT == S_IFREG, info.st_mode & 0o077 != 0 { fchmodat(dirfd(parent), name, 0, AT_SYMLINK_NOFOLLOW) }
        return Self.unlink(name, in: parent, info.isDirectory ? AT_REMOVEDIR : 0) ? .gone : .kept
    }

    /// A directory's owner must be able to write it for it to get another parent.
    private mutating func moveOwn(_ name: UnsafePointer<CChar>, from: OpaquePointer, to: OpaquePointer) -> Outcome {
        fchmodat(dirfd(from), name, 0o700, AT_SYMLINK_NOFOLLOW)
        return move(name, from: from, to: to)
    }

    /// To a name that nobody has: what another uid has at it, the sticky bit keeps; what is ours is to go anyway.
    private mutating func move(_ name: UnsafePointer<CChar>, from: OpaquePointer, to: OpaquePointer) -> Outcome {
        for _ in 0..<100 {
            moves += 1
            let free = ".berth-\(uid)-\(getpid())-\(moves)"
            if SharedFolders.status(free, in: to) != nil { continue }
            return renameat(dirfd(from), name, dirfd(to), free) == 0 ? .moved : .kept
        }
        return .kept
    }

    /// Goes through the entries again and again, since some come while others go; whether none is kept at the end.
    private mutating func untilNothingChanges(
        _ directory: OpaquePointer, _ body: (inout FileRemoval, UnsafePointer<CChar>) -> Outcome
    ) -> Bool {
        while Self.now() < deadline {
            var (changed, kept) = (false, false)
            rewinddir(directory)
            while let name = clinux_next_name(directory) {
                switch body(&self, name) {
                case .gone, .moved: changed = true
                case .kept: kept = true
                case .foreign: break
                }
            }
            if !changed { return !kept }
        }
        return false
    }

    // MARK: System calls

    /// A directory of ours, opened to its owner first, and to nobody else but the removals: no sibling can put anything into
    /// it any more.
    private func opened(_ name: UnsafePointer<CChar>, in parent: OpaquePointer) -> OpaquePointer? {
        fchmodat(dirfd(parent), name, 0o700, AT_SYMLINK_NOFOLLOW)
        guard let directory = SharedFolders.open(name, in: dirfd(parent)) else { return nil }
        var info = stat()
        guard fstat(dirfd(directory), &info) == 0, info.st_uid == uid else {
            closedir(directory)
            return nil
        }
        // An access list would give the group's rights to whom it names.
        if clinux_remove_access_list(dirfd(directory)) == 0, fchown(dirfd(directory), uid_t.max, SharedFolders.removalGroup) == 0 {
            fchmod(dirfd(directory), 0o770)
        }
        return directory
    }

    /// Removes a directory that was gone through. One that stays for the sake of another's, who may live, is passed through
    /// by whom it let pass before.
    private func ended(_ name: UnsafePointer<CChar>, _ before: stat, _ directory: OpaquePointer, in parent: OpaquePointer) -> Outcome {
        if Self.unlink(name, in: parent, AT_REMOVEDIR) { return .gone }
        var after = stat()
        if fstat(dirfd(directory), &after) == 0 { fchmod(dirfd(directory), after.st_mode & 0o770 | before.st_mode & 0o001) }
        return .kept
    }

    private static func unlink(_ name: UnsafePointer<CChar>, in parent: OpaquePointer, _ flags: Int32) -> Bool {
        unlinkat(dirfd(parent), name, flags) == 0 || errno == ENOENT
    }
}
