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

    private let hosts: Set<String>
    private let origins: Set<String>

    /// The loopback names are always allowed.
    ///
    /// - Parameters:
    ///   - allowedHosts: Further names or addresses, with a port (`mcp.example.org:8443`: that port only) or without
    ///     (any port). They are allowed as origins too.
    ///   - allowedOrigins: Further origins, such as `https://app.example.org`.
    public init(allowedHosts: [String] = [], allowedOrigins: [String] = []) {
        hosts = Set(["localhost", "127.0.0.1", "[::1]"] + allowedHosts.map { $0.lowercased() })
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
        if hosts.contains(host) || Self.withoutPort(host).map({ hosts.contains($0) }) == true { return true }
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

    /// `nil` unless what follows the name is a port.
    private static func withoutPort(_ host: String) -> String? {
        let bytes = host.utf8
        guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let (name, port) = (bytes[..<colon], bytes[bytes.index(after: colon)...])
        guard !port.isEmpty, port.allSatisfy(ASCII.isDigit), name.first == UInt8(ascii: "[") || !name.contains(UInt8(ascii: ":")) else { return nil }
        return String(name)
    }
}
