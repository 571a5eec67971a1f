import Glibc
import Wire

/// Looks whether a door on this host may be used: the orchestrator says so by the mode of the socket (`DoorLatch`).
enum DoorLook {
    /// A door that is there and marked as closed. One that is gone is found out by connecting to it.
    static func isClosed(_ endpoint: Endpoint) -> Bool {
        guard case .unix(let path) = endpoint else { return false }
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_ISVTX != 0
    }
}
