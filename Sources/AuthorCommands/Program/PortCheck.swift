import Glibc
import StdioBridge

/// Is the port free, and if not, whose is it.
package enum PortCheck {
    /// The gateway's, which runs without any capability.
    package static func free(host: String, port: Int) throws {
        let first = firstOpenPort
        guard port == 0 || port >= first else {
            throw Failure(
                "port \(port) is root's, and the gateway is not root",
                hint: "choose one from \(first) on with --listen 127.0.0.1:PORT, and put a proxy in front")
        }
        try listen(host, port, option: "--listen 127.0.0.1:PORT")
    }

    /// A bridge's, which is whoever's started it.
    static func freeForBridge(host: String, _ port: Int) throws {
        let first = firstOpenPort
        guard port == 0 || port >= first || geteuid() == 0 else {
            throw Failure("port \(port) is root's alone", hint: "choose one from \(first) on with --port PORT")
        }
        try listen(host, port, option: "--port PORT")
    }

    /// Whether who listens at `listen` (`address:port`) leaves no room: at the same address, or where one of both is every address.
    package static func isTaken(host: String, port: Int, by listen: String) -> Bool {
        guard port != 0, let colon = listen.lastIndex(of: ":"), listen[listen.index(after: colon)...] == "\(port)" else { return false }
        func address(_ text: some StringProtocol) -> String {
            let bare = String(text.filter { $0 != "[" && $0 != "]" })
            return bare == "localhost" ? "127.0.0.1" : bare
        }
        let (one, other) = (address(host), address(listen[..<colon]))
        return one == other || [one, other].contains { $0 == "0.0.0.0" || $0 == "::" }
    }

    /// The first one that needs no privilege.
    private static var firstOpenPort: Int {
        let text = readFile("/proc/sys/net/ipv4/ip_unprivileged_port_start") ?? []
        return Int(String(decoding: text, as: UTF8.self).filter(\.isNumber)) ?? 1_024
    }

    private static func listen(_ host: String, _ port: Int, option: String) throws {
        let isV6 = host.contains(":")
        let descriptor = socket(isV6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure("no socket: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let name = host == "localhost" ? "127.0.0.1" : host
        let result: Int32
        if isV6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = in_port_t(port).bigEndian
            guard inet_pton(AF_INET6, name, &address.sin6_addr) == 1 else { throw badHost(host) }
            result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
            }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            guard inet_pton(AF_INET, name, &address.sin_addr) == 1 else { throw badHost(host) }
            result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
            }
        }
        guard result == 0 else {
            let reason = errno
            guard reason != EADDRNOTAVAIL else {
                throw Failure("\(host) is no address of this host", hint: "ip address lists them; 0.0.0.0 and :: are all of them")
            }
            guard reason == EADDRINUSE else {
                throw Failure("\(host):\(port) cannot be listened on: \(String(cString: strerror(reason)))", hint: "choose another with \(option)")
            }
            throw Failure("port \(port) is in use\(owner(of: port).map { " by \($0)" } ?? "")", hint: "stop it, or choose another with \(option)")
        }
    }

    private static func badHost(_ host: String) -> Failure {
        Failure("--listen: '\(host.prefix(64))' is no address", hint: "a numeric address, for example 127.0.0.1", code: 64)
    }

    /// `name (pid 123)` of the process that listens there.
    private static func owner(of port: Int) -> String? {
        var inodes: Set<String> = []
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in String(decoding: readFile(table) ?? [], as: UTF8.self).split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ")
                guard fields.count > 9, fields[3] == "0A", let hex = fields[1].split(separator: ":").last, Int(hex, radix: 16) == port
                else { continue }
                inodes.insert("socket:[\(fields[9])]")
            }
        }
        guard !inodes.isEmpty else { return nil }
        for pid in directoryNames("/proc") ?? [] where Int(pid) != nil && holds(pid, inodes) {
            let name = String(decoding: readFile("/proc/\(pid)/comm") ?? [], as: UTF8.self).filter { $0 != "\n" }
            return "\(name) (pid \(pid))"
        }
        return nil
    }

    private static func holds(_ pid: String, _ inodes: Set<String>) -> Bool {
        for name in directoryNames("/proc/\(pid)/fd") ?? [] {
            var target = [UInt8](repeating: 0, count: 64)
            let count = target.withUnsafeMutableBytes { readLink("/proc/\(pid)/fd/\(name)", $0) }
            if count > 0, inodes.contains(String(decoding: target.prefix(count), as: UTF8.self)) { return true }
        }
        return false
    }
}
