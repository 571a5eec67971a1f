import AuthorCommands
import ConfigImport
import Glibc

/// Where a folder lies that is to go into an image.
enum FolderPlace {
    /// Behind the name of what is left out.
    static let closed = " (others may not read it: chmod o+r, if the server is to have it)"

    /// Who runs the command, behind sudo too.
    static var caller: UInt32 {
        guard getuid() == 0, let text = getenv("SUDO_UID"), let uid = UInt32(String(cString: text)) else { return getuid() }
        return uid
    }

    /// `O_PATH`, which Glibc's module leaves out.
    private static let pathOnly: Int32 = 0o10_000_000

    /// - Parameter root: as it lies on the disk, without links.
    static func check(_ root: String, _ access: FolderAccess) throws {
        if let system = ImportPlan.system(ofFolder: root) {
            throw Failure("\(root) lies in \(system), which belongs to the system", hint: "copy what the server needs into a folder of its own", code: 64)
        }
        var (path, closed) = (root, String?.none)
        repeat {
            let descriptor = open(path, pathOnly | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw Failure("\(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give a folder", code: 64)
            }
            defer { close(descriptor) }
            guard !isState(descriptor) else { throw state(path) }
            var info = stat()
            if fstat(descriptor, &info) != 0 || !access.mayPass(.init(info)) { closed = path }
            path = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        } while !path.isEmpty
        if let closed {
            throw Failure("\(closed) is closed to others, and it is not yours", hint: "copy what the server needs into a folder of yours", code: 64)
        }
    }

    /// A directory, open, that holds the state of a Berth: keys, and what they seal.
    static func isState(_ directory: Int32) -> Bool {
        func has(_ name: String) -> Bool { faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 }
        return has("version") && (has("gateway/keys") || has("gateway/gateway.db") || has("orchestrator/keys") || has("orchestrator/orchestrator.db"))
    }

    static func state(_ path: String) -> Failure {
        Failure("\(path) holds the state of a Berth, with its keys", hint: "copy what the server needs into a folder of its own", code: 64)
    }
}

extension FolderAccess.Entry {
    init(_ info: stat) { self.init(owner: info.st_uid, mode: info.st_mode, links: UInt64(info.st_nlink)) }
}
