import NIOCore

/// Where a connection goes: a unix socket of this host, or an address and port.
public enum Endpoint: Hashable, Sendable {
    case unix(path: String)
    case tcp(host: String, port: Int)

    /// A machine's door as the orchestrator tells it: `unix:/path`, `http://host:port` or `http://[v6]:port`.
    public init?(door: String) {
        if door.hasPrefix("unix:") {
            let path = String(door.dropFirst(5))
            guard path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
            return
        }
        guard door.hasPrefix("http://") else { return nil }
        var rest = door.dropFirst(7)
        if rest.hasSuffix("/") { rest.removeLast() }
        let host: Substring
        let tail: Substring
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = rest[rest.index(after: rest.startIndex)..<end]
            tail = rest[rest.index(after: end)...]
        } else {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            host = rest[..<end]
            tail = rest[end...]
        }
        guard !host.isEmpty, !host.contains(where: { $0 == "/" || $0 == "@" || $0 == "?" || $0 == "#" }) else { return nil }
        if tail.isEmpty {
            self = .tcp(host: String(host), port: 80)
            return
        }
        guard tail.hasPrefix(":"), let port = Int(tail.dropFirst()), (1...65_535).contains(port) else { return nil }
        self = .tcp(host: String(host), port: port)
    }

    /// The value for a `Host` header: `localhost` for a unix socket.
    public var hostHeader: String {
        switch self {
        case .unix: "localhost"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}

extension Endpoint: CustomStringConvertible {
    /// The same form that `init(door:)` reads.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp: "http://\(hostHeader)"
        }
    }
}
