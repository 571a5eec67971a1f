import CLinux
import Glibc

/// The directories that all children of a machine may write.
enum SharedFolders {
    static let roots = ["/tmp", "/dev/shm", "/var/tmp"]
    /// Of the removals, which have it as theirs, and of no child.
    static let removalGroup: gid_t = 0

    /// The ended children's uids that still have something at the top of the shared directories, or in the remnants there, each
    /// with a digest of what concerns it: its own entries, and all that its remnants hold. Touches nothing; what lies in a
    /// directory of a living child's is found when that one has ended.
    static func left(in roots: [String] = roots, by isEnded: (uid_t) -> Bool) -> [uid_t: Int] {
        withoutActuallyEscaping(isEnded) { isEnded in
            var search = Search(isEnded: isEnded)
            for root in roots {
                guard let directory = open(root, in: AT_FDCWD) else { continue }
                search.list(directory, of: [])
                closedir(directory)
            }
            return search.found
        }
    }

    private struct Search {
        let isEnded: (uid_t) -> Bool
        var found: [uid_t: Int] = [:]
        /// It runs on the agent's loop. What a living child's entries keep from being seen is seen after its end.
        private var budget = 4096

        init(isEnded: @escaping (uid_t) -> Bool) { self.isEnded = isEnded }

        /// - Parameter holders: whose remnants `directory` is and lies in.
        mutating func list(_ directory: OpaquePointer, of holders: [uid_t]) {
            var own = stat()
            guard fstat(dirfd(directory), &own) == 0 else { return }
            while budget > 0, let name = clinux_next_name(directory) {
                budget -= 1
                guard let info = SharedFolders.status(name, in: directory) else { continue }
                var hasher = Hasher()
                for part in [own.st_ino, info.st_ino, ino_t(info.st_uid)] { hasher.combine(part) }
                let digest = hasher.finalize()
                let isOver = isEnded(info.st_uid)
                // A sum, since the order of entries means nothing.
                for uid in Set(holders + (isOver ? [info.st_uid] : [])) { found[uid, default: 0] &+= digest }
                guard isOver, info.isRemnant, holders.count < FileRemoval.remnantDepth else { continue }
                guard let inner = SharedFolders.open(name, in: dirfd(directory)) else { continue }
                list(inner, of: holders + [info.st_uid])
                closedir(inner)
            }
        }
    }

    // MARK: System calls

    /// Never through a link.
    static func open(_ name: UnsafePointer<CChar>, in parent: Int32) -> OpaquePointer? {
        let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        guard let directory = fdopendir(descriptor) else {
            close(descriptor)
            return nil
        }
        return directory
    }

    static func status(_ name: UnsafePointer<CChar>, in parent: OpaquePointer) -> stat? {
        var info = stat()
        return fstatat(dirfd(parent), name, &info, AT_SYMLINK_NOFOLLOW) == 0 ? info : nil
    }
}

extension stat {
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }

    /// What a removal could not remove for the sake of another's full directory in it: no child can give a directory of its
    /// own to the removals' group.
    var isRemnant: Bool { isDirectory && st_uid != 0 && st_gid == SharedFolders.removalGroup && st_mode & 0o070 == 0o070 }
}
