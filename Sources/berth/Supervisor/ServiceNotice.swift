import Glibc

/// Tells systemd how far a service is (`Type=notify`): a datagram to the socket that `NOTIFY_SOCKET` names.
enum ServiceNotice {
    /// Whether somebody waits for it.
    static var isWanted: Bool { getenv("NOTIFY_SOCKET") != nil }

    /// `READY=1`, `STOPPING=1`, …; nothing where nobody asked for it. Of no consequence if it fails: systemd waits in vain then.
    static func send(_ text: String) {
        guard let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), name.hasPrefix("/") || name.hasPrefix("@") else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room else { return }
        // An abstract name begins with a zero byte, and has none at its end.
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size - room + bytes.count)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL), $0, length) }
        }
    }
}
