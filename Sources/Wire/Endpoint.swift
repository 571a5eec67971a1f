import NIOCore

/// Where a connection goes: a unix socket of this host, or an address and port.
public enum Endpoint: Hashable, Sendable {
    case unix(path: String)
    case tcp(host: String, port: Int)
    /// The same with TLS, which a pool speaks where it was given some.
    case tls(host: String, port: Int)

    /// A machine's door as the orchestrator tells it: `unix:/path`, `http://host:port` or `http://[v6]:port`.
    public init?(door: String) {
        if door.hasPrefix("unix:") {
            let path = String(door.dropFirst(5))
            guard path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
            return
        }
        guard door.hasPrefix("http://") else { return nil }
        let rest = door.dropFirst("http://".count)
        guard let (host, port) = Self.split(authority: rest.hasSuffix("/") ? rest.dropLast() : rest) else { return nil }
        self = .tcp(host: host, port: port ?? 80)
    }

    /// `host`, `host:port`, `[v6]` or `[v6]:port`.
    ///
    /// - Returns: The host without brackets; nil for anything else.
    public static func split(authority: Substring) -> (host: String, port: Int?)? {
        let host: Substring
        let tail: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<end]
            tail = authority[authority.index(after: end)...]
        } else {
            let end = authority.firstIndex(of: ":") ?? authority.endIndex
            host = authority[..<end]
            tail = authority[end...]
        }
        guard !host.isEmpty, !host.contains(where: { $0 == "/" || $0 == "@" || $0 == "?" || $0 == "#" }) else { return nil }
        if tail.isEmpty { return (String(host), nil) }
        guard tail.hasPrefix(":"), let port = Int(tail.dropFirst()), (1...65_535).contains(port) else { return nil }
        return (String(host), port)
    }

    /// The value for a `Host` header: `localhost` for a unix socket.
    public var hostHeader: String {
        switch self {
        case .unix: "localhost"
        case .tcp(let host, let port), .tls(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}

extension Endpoint: CustomStringConvertible {
    /// The same form that `init(door:)` reads, which knows no TLS.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp: "http://\(hostHeader)"
        case .tls: "https://\(hostHeader)"
        }
    }
}
