import CLinux
import Glibc

/// A tree as a process sees it whose root it is: absolute links and `..` stay in it, by the kernel's own rule.
struct RootTree: Sendable {
    let directory: String

    init(_ directory: String) { self.directory = directory }

    /// Opens a regular file of it for reading, links followed inside; nil when there is none.
    func open(_ path: String) -> Int32? {
        guard let file = descriptor(path, lookOnly: false) else { return nil }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode.isRegularFile else {
            close(file)
            return nil
        }
        return file
    }

    /// What is at a path, links followed inside; nil when nothing is.
    func status(_ path: String) -> stat? {
        guard let found = descriptor(path, lookOnly: true) else { return nil }
        defer { close(found) }
        var status = stat()
        return fstat(found, &status) == 0 ? status : nil
    }

    func isDirectory(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }

    func isExecutable(_ path: String) -> Bool { status(path).map { $0.st_mode.isRegularFile && $0.st_mode & 0o111 != 0 } ?? false }

    private func descriptor(_ path: String, lookOnly: Bool) -> Int32? {
        guard !path.utf8.contains(0), path.utf8.count < Int(PATH_MAX) else { return nil }
        let root = Descriptor(Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW))
        guard root.value >= 0 else { return nil }
        let found = clinux_open_in_root(root.value, path.isEmpty ? "/" : path, lookOnly ? 1 : 0)
        return found < 0 ? nil : found
    }
}
