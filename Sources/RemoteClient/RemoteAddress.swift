public import Wire

/// Where a remote server is, as its URL says.
public struct RemoteAddress: Sendable, Equatable {
    public var url: String
    public var endpoint: Endpoint
    /// For the `Host` header.
    public var authority: String
    /// With its query.
    public var path: String
    /// Whether it is `https`.
    public var isSecure: Bool

    /// - Returns: Nil for everything but `http://HOST[:PORT]/…` and `https://HOST[:PORT]/…`.
    public init?(_ url: String) {
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let colon = url.firstIndex(of: ":") else { return nil }
        let scheme = url[..<colon].lowercased()
        let tail = url[url.index(after: colon)...].prefix { $0 != "#" }
        guard scheme == "http" || scheme == "https", tail.hasPrefix("//") else { return nil }
        let rest = tail.dropFirst(2)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        guard let (host, port) = Endpoint.split(authority: rest[..<end]) else { return nil }
        self.url = url
        isSecure = scheme == "https"
        endpoint = isSecure ? .tls(host: host.lowercased(), port: port ?? 443) : .tcp(host: host.lowercased(), port: port ?? 80)
        authority = String(rest[..<end])
        path = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
    }

    /// Scheme, host and port: what a token for one URL must not leave.
    public func isSameOrigin(as other: RemoteAddress) -> Bool { endpoint == other.endpoint }

    /// What a reference of this server's means (RFC 3986 §5.2): a URL, a path, or a query.
    public func resolving(_ reference: String) -> RemoteAddress? {
        let reference = reference.prefix { $0 != "#" }
        let scheme = isSecure ? "https:" : "http:"
        if let mark = reference.firstIndex(where: { $0 == ":" || $0 == "/" || $0 == "?" }), reference[mark] == ":" {
            return RemoteAddress(String(reference))
        }
        if reference.hasPrefix("//") { return RemoteAddress(scheme + reference) }
        let base = path.prefix { $0 != "?" }
        let target: String
        if reference.isEmpty {
            target = path
        } else if reference.hasPrefix("?") {
            target = String(base + reference)
        } else if reference.hasPrefix("/") {
            target = Self.withoutDots(reference)
        } else {
            target = Self.withoutDots(base[...(base.lastIndex(of: "/") ?? base.startIndex)] + reference)
        }
        return RemoteAddress("\(scheme)//\(authority)\(target)")
    }

    /// A path, with its query, whose `.` and `..` are followed.
    private static func withoutDots(_ target: Substring) -> String {
        let path = target.prefix { $0 != "?" }
        var kept: [Substring] = []
        for segment in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if segment == ".." { _ = kept.popLast() } else if segment != "." { kept.append(segment) }
        }
        // What ends in a dot is a folder.
        if path.hasSuffix("/.") || path.hasSuffix("/..") { kept.append("") }
        return "/" + kept.joined(separator: "/") + target[path.endIndex...]
    }
}
