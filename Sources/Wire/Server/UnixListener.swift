import CLinux
import Glibc

/// A listening unix socket that nobody beside those whom its owner and mode name can ever connect to: they are set between
/// `bind` and `listen`.
public enum UnixListener {
    /// The call that the kernel refused.
    public struct Failure: Error, CustomStringConvertible {
        public let path: String
        public let step: String
        public let code: CInt
        public var description: String {
            code == ENAMETOOLONG ? "\(path) is longer than a socket's path may be" : "\(step) \(path): \(String(cString: strerror(code)))"
        }
    }

    /// - Parameters:
    ///   - owner: Owner and group are the process's own where none is given.
    /// - Returns: A descriptor, close-on-exec. A socket that was left at `path` is replaced; any other file is not.
    public static func open(
        path: String, mode: UInt32, owner: UInt32? = nil, group: UInt32? = nil, backlog: CInt
    ) throws(Failure) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < capacity, !path.utf8.contains(0) else { throw Failure(path: path, step: "bind", code: ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }

        var found = stat()
        if lstat(path, &found) == 0 {
            guard found.st_mode & S_IFMT == S_IFSOCK else { throw Failure(path: path, step: "bind", code: EEXIST) }
            unlink(path)
        }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(path: path, step: "socket", code: errno) }
        var isBound = false
        func check(_ result: CInt, _ step: String) throws(Failure) {
            guard result < 0 else { return }
            let code = errno
            close(descriptor)
            if isBound { unlink(path) }
            throw Failure(path: path, step: step, code: code)
        }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try check(bound, "bind")
        isBound = true
        // -1 leaves it as it is.
        if owner != nil || group != nil { try check(chown(path, owner ?? .max, group ?? .max), "chown") }
        try check(chmod(path, mode), "chmod")
        try check(listen(descriptor, backlog), "listen")
        return descriptor
    }
}
