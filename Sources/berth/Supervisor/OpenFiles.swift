import CLinux
import Glibc

/// How many files and sockets a process may have open: each connection is one, and 1,024, which a login gives, are few for a host's
/// machines and clients.
enum OpenFiles {
    /// As many as are of any use; more only make the table of descriptors larger.
    private static let wanted: UInt64 = 65_536

    /// Up to what the process may give itself; what it starts has limits of its own, or these.
    static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < min(wanted, UInt64(limit.rlim_max)) else { return }
        _ = clinux_setrlimit(clinux_rlimit_nofile(), min(wanted, UInt64(limit.rlim_max)), UInt64(limit.rlim_max))
    }
}
