import AuthorCommands
import Glibc

/// The file that a backup is written into: 0600, there whole or not at all, never in place of another.
struct BackupFile {
    let descriptor: Int32
    private let path: String
    /// A name of its own while it is written, on file systems that keep no file without one.
    private let temporary: String?

    init(_ path: String) throws {
        self.path = path
        guard access(path, F_OK) != 0 else { throw Self.exists(path) }
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        // O_TMPFILE, which is a macro of several flags: the file has no name, and is gone with the process.
        let nameless = open(folder, O_RDWR | 0o20_000_000 | O_DIRECTORY | O_CLOEXEC, 0o600)
        if nameless >= 0 {
            (descriptor, temporary) = (nameless, nil)
            return
        }
        let name = "\(path).unfinished"
        let named = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard named >= 0 else {
            throw errno == EEXIST
                ? Failure("\(name) is there, of a backup that was cut off or is under way", hint: "remove it if none is")
                : Failure("\(path) cannot be written: \(String(cString: strerror(errno)))", hint: "name a file in a folder that root can write to")
        }
        (descriptor, temporary) = (named, name)
    }

    /// Gives it its name, once everything is on the disk.
    func publish() throws {
        guard fsync(descriptor) == 0 else { throw Failure("\(path) cannot be written: \(String(cString: strerror(errno)))", hint: "free space on its disk") }
        let source = temporary ?? "/proc/self/fd/\(descriptor)"
        guard linkat(AT_FDCWD, source, AT_FDCWD, path, temporary == nil ? AT_SYMLINK_FOLLOW : 0) == 0 else {
            guard errno != EEXIST else { throw Self.exists(path) }
            // A file system without links: the name was free a moment ago.
            guard let temporary, access(path, F_OK) != 0, rename(temporary, path) == 0 else {
                throw Failure("\(path) cannot be made: \(String(cString: strerror(errno)))", hint: "name a file on another file system")
            }
            return
        }
        if let temporary { unlink(temporary) }
    }

    func abandon() {
        if let temporary { unlink(temporary) }
        close(descriptor)
    }

    private static func exists(_ path: String) -> Failure {
        Failure("\(path) is there already", hint: "a backup takes no other file's place: remove it, or name another", code: 64)
    }
}
