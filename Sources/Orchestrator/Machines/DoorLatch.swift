import Glibc

/// Whether a machine's door may be used, told by the mode of its socket: a closed one has the sticky bit, which nobody else sets, and the
/// gateway, which is not root, cannot connect to it. The orchestrator always can. A file's mode survives both of them.
enum DoorLatch {
    static let open: mode_t = 0o660
    static let closed: mode_t = 0o1600

    static func close(_ door: String) { chmod(door, closed) }
    static func open(_ door: String) { chmod(door, open) }
}
