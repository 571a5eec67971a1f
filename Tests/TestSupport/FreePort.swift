import Glibc
import Synchronization

/// Ports for tests that start, end and start again what listens there, so the port is unbound in between.
///
/// They lie below the range from which Linux chooses for a socket that asks for any port (`ip_local_port_range`):
/// a port of that range goes to another test's client or server while it is unbound.
public enum FreePort {
    private static let taken = Mutex<Set<UInt16>>([])

    /// One that nobody listens at, and that no other test of this process is given.
    public static func take() throws -> Int {
        for _ in 0..<1_000 {
            let port = UInt16.random(in: 10_240..<32_768)
            guard taken.withLock({ $0.insert(port).inserted }) else { continue }
            if isFree(port) { return Int(port) }
        }
        throw NoFreePort()
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = port.bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
    }
}

/// A thousand ports in a row were taken.
struct NoFreePort: Error {}
