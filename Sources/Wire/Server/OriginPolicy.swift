/// Keeps web pages away from a server that browsers of this host can reach (DNS rebinding, cross-site requests): the
/// `Host` must be a name that this server goes by, and an `Origin`, which only browsers send, one that it knows.
public struct OriginPolicy: Sendable {
    /// Why a request is refused, with 403.
    public enum Refusal: Error, Sendable, Equatable {
        /// No `Host`, or more than one.
        case missingHost
        case host(String)
        case origin(String)
    }

    /// In small letters. With a port only that port is meant, without one any.
    private let hosts: [(name: String, takesPort: Bool)]
    private let origins: Set<String>

    /// The loopback names are always allowed.
    ///
    /// - Parameters:
    ///   - allowedHosts: Further names or addresses, with a port (`mcp.example.org:8443`: that port only) or without
    ///     (any port). They are allowed as origins too.
    ///   - allowedOrigins: Further origins, such as `https://app.example.org`.
    public init(allowedHosts: [String] = [], allowedOrigins: [String] = []) {
        hosts = (["127.0.0.1", "localhost", "[::1]"] + allowedHosts.map { $0.lowercased() }).map { name in
            (name, name.utf8.first == UInt8(ascii: "[") || !name.utf8.contains(UInt8(ascii: ":")))
        }
        origins = Set(allowedOrigins.map { $0.lowercased() })
    }

    /// - Parameters:
    ///   - hosts: Every value of the `Host` header.
    ///   - origins: Every value of the `Origin` header.
    /// - Returns: `nil` if the request may pass.
    public func check(hosts: [String], origins: [String]) -> Refusal? {
        guard hosts.count == 1 else { return .missingHost }
        guard allows(host: hosts[0]) else { return .host(hosts[0]) }
        for origin in origins where !allows(origin: origin) { return .origin(origin) }
        return nil
    }

    private func allows(host: String) -> Bool {
        // Nearly always in small letters already.
        if hosts.contains(where: { Self.matches(host, $0.name, takesPort: $0.takesPort) }) { return true }
        let small = host.lowercased()
        return small != host && allows(host: small)
    }

    private func allows(origin: String) -> Bool {
        let origin = origin.lowercased()
        if origins.contains(origin) { return true }
        for scheme in ["http://", "https://"] where origin.hasPrefix(scheme) {
            return allows(host: String(origin.dropFirst(scheme.count)))
        }
        return false
    }

    private static func matches(_ host: String, _ name: String, takesPort: Bool) -> Bool {
        let (bytes, length) = (host.utf8, name.utf8.count)
        guard bytes.count >= length, bytes.starts(with: name.utf8) else { return false }
        if bytes.count == length { return true }
        let rest = bytes.dropFirst(length)
        return takesPort && rest.first == UInt8(ascii: ":") && rest.count > 1 && rest.dropFirst().allSatisfy(ASCII.isDigit)
    }
}
