import CLinux
import Glibc
import Orchestrator
import Persistence

/// What must be true before anything is started; each refusal is one line with its remedy. Nothing is changed here.
enum Preflight {
    /// The host: rights, the gateway's user, tools, what the kernel must offer.
    static func check() async throws {
        guard geteuid() == 0 else {
            throw Failure(
                "berth up needs root: machines are user namespaces, mounts and cgroups of this host",
                hint: "sudo berth up; berth bridge and berth doctor work for anybody")
        }
        guard getpwnam("berth") != nil else {
            throw Failure(
                "the system user berth is missing; the gateway runs as it, without any capability",
                hint: "useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin berth")
        }
        guard access("/usr/bin/mmdebstrap", X_OK) == 0 else {
            throw Failure("mmdebstrap is missing; it makes the base image", hint: "apt-get install mmdebstrap")
        }
        if let layer = await HostCapabilities.probe().blocking.first {
            throw Failure("machines need \(layer.name), which this host does not give: \(layer.detail)", hint: layer.remedy)
        }
    }

    /// The state directory, when it is there: ours alone, writable, of this version, and not a folder of something else.
    static func check(state path: String) throws {
        guard access(path, F_OK) == 0 else { return }
        do {
            try StateDirectory.check(path)
            if access(path + "/version", F_OK) == 0 { _ = try StateDirectory(path) }
        } catch {
            throw Failure(error.message, hint: error.remedy)
        }
        let own: Set<String> = ["lock", "version", "berth.log", "gateway", "orchestrator", "lost+found"]
        guard let stranger = names(in: path).first(where: { !own.contains($0) }) else { return }
        throw Failure("\(path) holds \(stranger), which is not Berth's", hint: "give --state a new or empty directory")
    }

    /// Makes the directory, private.
    static func make(state path: String) throws {
        do {
            try StateDirectory.prepare(path)
        } catch {
            throw Failure(error.message, hint: error.remedy)
        }
    }

    private static func names(in path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}

/// Is the port free, and if not, whose is it.
enum PortCheck {
    static func free(host: String, port: Int, option: String = "--listen 127.0.0.1:PORT") throws {
        let first = readFile("/proc/sys/net/ipv4/ip_unprivileged_port_start").flatMap { Int(String(decoding: $0, as: UTF8.self).filter(\.isNumber)) }
        // The listener is the gateway's, which runs without any capability.
        guard port == 0 || port >= first ?? 1_024 else {
            throw Failure(
                "port \(port) is root's, and the gateway is not root", hint: "choose one from \(first ?? 1_024) on with \(option), and put a proxy in front")
        }
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
            guard reason == EADDRINUSE else { throw Failure("\(host):\(port) cannot be listened on: \(String(cString: strerror(reason)))", hint: "choose another --listen") }
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
                guard fields.count > 9, fields[3] == "0A", let hex = fields[1].split(separator: ":").last, Int(hex, radix: 16) == port else { continue }
                inodes.insert("socket:[\(fields[9])]")
            }
        }
        guard !inodes.isEmpty, let processes = opendir("/proc") else { return nil }
        defer { closedir(processes) }
        while let entry = readdir(processes) {
            let pid = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            guard Int(pid) != nil, holds(pid, inodes) else { continue }
            let name = String(decoding: readFile("/proc/\(pid)/comm") ?? [], as: UTF8.self).filter { $0 != "\n" }
            return "\(name) (pid \(pid))"
        }
        return nil
    }

    private static func holds(_ pid: String, _ inodes: Set<String>) -> Bool {
        guard let descriptors = opendir("/proc/\(pid)/fd") else { return false }
        defer { closedir(descriptors) }
        while let entry = readdir(descriptors) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            var target = [UInt8](repeating: 0, count: 64)
            let count = target.withUnsafeMutableBytes { readLink("/proc/\(pid)/fd/\(name)", $0) }
            if count > 0, inodes.contains(String(decoding: target.prefix(count), as: UTF8.self)) { return true }
        }
        return false
    }
}
