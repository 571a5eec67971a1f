import CLinux
import Glibc

/// Trees that foreign code made: names that are no UTF-8, paths longer than any call takes, any number of entries. So
/// names are bytes here, and every step is relative to an open directory.
extension Files {
    /// Removes a file or a tree without following links or crossing into another mount, of whatever file system. What is gone already is no error.
    static func removeTree(_ path: String) throws(OCIError) {
        guard let root = status(path) else { return }
        guard root.st_mode & S_IFMT == S_IFDIR else {
            guard unlink(path) == 0 || errno == ENOENT else { throw .system("unlink", path, errno) }
            return
        }
        let directory = Descriptor(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        guard directory.value >= 0 else {
            if errno == ENOENT { return }
            throw .system("open", path, errno)
        }
        var removal = TreeRemoval(root: directory.value, device: root.st_dev, path: path)
        try removal.empty(directory.value, depth: 0)
        guard rmdir(path) == 0 || errno == ENOENT else { throw .system("rmdir", path, errno) }
    }

    /// What a tree takes on disk while foreign code may still write it; `.max` when it is nested beyond measure.
    ///
    /// An entry counts for a file system's own record of it at least: a million empty files are not nothing.
    static func diskUse(_ path: String) -> Int {
        let directory = Descriptor(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        guard directory.value >= 0 else { return 0 }
        return diskUse(directory.value, depth: 0)
    }

    private static let deepestMeasured = 128
    private static let entryBytes = 1_024

    private static func diskUse(_ directory: Int32, depth: Int) -> Int {
        guard depth < deepestMeasured else { return .max }
        guard let stream = EntryStream(directory) else { return 0 }
        var total = 0
        while let name = stream.next() {
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            var bytes = max(Int(status.st_blocks) * 512, entryBytes)
            if status.st_mode & S_IFMT == S_IFDIR {
                let child = Descriptor(openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
                if child.value >= 0 {
                    let below = diskUse(child.value, depth: depth + 1)
                    if below == .max { return .max }
                    bytes += below
                }
            }
            total += bytes
        }
        return total
    }
}

/// One removal of a tree.
private struct TreeRemoval {
    let root: Int32
    let device: dev_t
    let mount: Int64
    /// For messages.
    let path: String
    private var moved = 0

    /// Below this many directories a subtree is moved up to the root first: neither the stack nor the count of open files
    /// depends on how deep somebody nested.
    private static let deepest = 32
    private static let batch = 1_024

    init(root: Int32, device: dev_t, path: String) {
        self.root = root
        self.device = device
        mount = clinux_mount_id(root)
        self.path = path
    }

    mutating func empty(_ directory: Int32, depth: Int) throws(OCIError) {
        // In batches, each from the beginning: what is read is removed, and what was moved up is found as well.
        while true {
            guard let stream = EntryStream(directory) else { throw .system("opendir", path, errno) }
            var names: [[CChar]] = []
            while names.count < Self.batch, let name = stream.next() { names.append(name) }
            if names.isEmpty { return }
            for name in names { try remove(name, from: directory, depth: depth) }
        }
    }

    private mutating func remove(_ name: [CChar], from directory: Int32, depth: Int) throws(OCIError) {
        var status = stat()
        guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return }
            throw failure("stat", name)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            guard unlinkat(directory, name, 0) == 0 || errno == ENOENT else { throw failure("unlink", name) }
            return
        }
        guard status.st_dev == device else { throw OCIError(.notRemoved, "\(shown(name)) is a mount point") }
        guard depth < Self.deepest else {
            moved += 1
            // A name that is taken is another's: the next number then.
            while renameat(directory, name, root, ".berth-remove-\(moved)") != 0 {
                guard errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR else { throw failure("rename", name) }
                moved += 1
            }
            return
        }
        let child = Descriptor(openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        guard child.value >= 0 else {
            if errno == ENOENT { return }
            throw failure("open", name)
        }
        guard clinux_mount_id(child.value) == mount else { throw OCIError(.notRemoved, "\(shown(name)) is a mount point") }
        try empty(child.value, depth: depth + 1)
        guard unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT else { throw failure("rmdir", name) }
    }

    private func failure(_ call: String, _ name: [CChar]) -> OCIError { .system(call, shown(name), errno) }

    private func shown(_ name: [CChar]) -> String {
        path + "/…/" + String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The names in an open directory as bytes, with their zero; from the first one, whoever read from it before.
private final class EntryStream {
    private let stream: OpaquePointer

    init?(_ directory: Int32) {
        // A description of its own: `dup` would share the position.
        let own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0 else { return nil }
        guard let stream = fdopendir(own) else {
            close(own)
            return nil
        }
        self.stream = stream
    }

    deinit { closedir(stream) }

    func next() -> [CChar]? {
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
                    Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
                }
            }
            let isSelf = name.count == 2 && name[0] == 46 || name.count == 3 && name[0] == 46 && name[1] == 46
            if !isSelf { return name }
        }
        return nil
    }
}
