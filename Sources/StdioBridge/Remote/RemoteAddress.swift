public import Wire

/// Where a remote server is, as its URL says.
public struct RemoteAddress: Sendable, Equatable {
    public var url: String
    public var endpoint: Endpoint
    /// For the `Host` header.
    public var authority: String
    /// With its query.
    public var path: String

    /// - Returns: Nil for everything but `http://HOST[:PORT]/…`.
    public init?(_ url: String) {
        guard url.hasPrefix("http://") else { return nil }
        let rest = url.dropFirst("http://".count).prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        guard let endpoint = Endpoint(door: "http://" + rest[..<end]) else { return nil }
        self.url = url
        self.endpoint = endpoint
        authority = String(rest[..<end])
        let tail = rest[end...]
        path = tail.hasPrefix("/") ? String(tail) : "/" + tail
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    }
}
