import Glibc
import Wire

/// The unix sockets that the orchestrator listens on: nobody can connect before owner and mode are what they shall be.
enum HostSocket {
    static func listen(
        _ path: String, owner: UInt32 = 0, group: UInt32, mode: UInt32 = 0o660, backlog: Int32 = 512
    ) throws(OCIError) -> Descriptor {
        do {
            return Descriptor(try UnixListener.open(path: path, mode: mode, owner: owner, group: group, backlog: backlog))
        } catch {
            guard error.code == ENAMETOOLONG else { throw .system(error.step, path, error.code) }
            throw OCIError(.invalidSpec, "\(error)", hint: "choose a shorter run directory")
        }
    }
}
