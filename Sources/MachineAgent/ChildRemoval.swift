import CLinux
import Glibc

/// The `kill` mode: removes what a child left, processes first, then files. It runs under the child's own uid, which is
/// the only one that may do either, and which nobody else ever has.
enum ChildRemoval {
    /// Where a child can have written.
    private static let roots = ["/tmp", "/dev/shm", "/var/tmp"]

    static func run(uid: uid_t) -> Never {
        let result = clinux_become(uid, uid)
        if result < 0 { ChildShim.fail("kill: identity", -result) }
        // Descendants of any depth, group or session: no enumeration can miss one that is being forked. Twice, since a
        // process that was dying may still have written while its files were removed.
        for _ in 0..<2 {
            kill(-1, SIGKILL)
            for root in roots { removeOwned(by: uid, in: root) }
        }
        exit(0)
    }

    private static func removeOwned(by uid: uid_t, in root: String) {
        let descriptor = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        eachEntry(of: descriptor) { parent, name in
            var info = stat()
            guard fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0, info.st_uid == uid else { return }
            remove(name, in: parent, depth: 0)
        }
    }

    private static func remove(_ name: String, in parent: Int32, depth: Int) {
        if unlinkat(parent, name, 0) == 0 || depth > 128 { return }
        let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor >= 0 {
            fchmod(descriptor, 0o700)
            eachEntry(of: descriptor) { remove($1, in: $0, depth: depth + 1) }
        } else if errno == EACCES {
            // A directory that its owner locked himself out of.
            fchmodat(parent, name, 0o700, 0)
            let again = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if again >= 0 { eachEntry(of: again) { remove($1, in: $0, depth: depth + 1) } }
        }
        unlinkat(parent, name, AT_REMOVEDIR)
    }

    /// Calls `body` for each entry and closes the descriptor.
    private static func eachEntry(of descriptor: Int32, _ body: (Int32, String) -> Void) {
        guard let directory = fdopendir(descriptor) else {
            close(descriptor)
            return
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        for name in names { body(descriptor, name) }
    }
}
