import CLinux
import Glibc

/// The network of a machine whose agent answers names: a namespace in which any port can be bound, and, for one with a way out, every
/// address is its own, so that whatever its server connects to arrives at the agent. Without a way out there is `lo` and no route.
///
/// It belongs to the host's user namespace: the machine's root has no capability in it. Nothing but the descriptor and later the
/// machine's processes keep it, so no path and no row has to be cleaned up, whoever dies when.
enum LocalNetwork {
    /// - Parameter isClosed: no address but the loopback's.
    static func make(isClosed: Bool = false) throws(OCIError) -> Descriptor {
        var step: UnsafePointer<CChar>?
        let result = clinux_local_network(isClosed ? 0 : 1, &step)
        guard result >= 0 else {
            let what = step.map { String(cString: $0) } ?? ""
            throw OCIError(
                .system, "no network namespace for a machine with egress: \(what): \(String(cString: strerror(-result)))",
                hint: "it needs CAP_NET_ADMIN and a writable /proc/sys/net; without --egress a machine needs neither")
        }
        return Descriptor(result)
    }
}
