import NIOHTTP1

/// What lets pages of the allowed origins, and of no others, call from a browser. A pure value.
struct StandaloneCORS {
    private let origins: Set<String>

    init(_ origins: [String]) {
        self.origins = Set(origins.map { $0.lowercased() })
    }

    /// For every answer to such a page; none for anybody else.
    func headers(_ head: HTTPRequestHead) -> [(String, String)] {
        guard let origin = head.headers.first(name: "origin"), origins.contains(origin.lowercased()) else { return [] }
        return [
            ("access-control-allow-origin", origin), ("vary", "Origin"),
            ("access-control-expose-headers", "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate"),
        ]
    }

    /// The answer to a browser that asks beforehand, which it does without a token.
    func preflight(_ head: HTTPRequestHead) -> [(String, String)]? {
        guard head.method == .OPTIONS, head.headers.contains(name: "access-control-request-method") else { return nil }
        let own = headers(head)
        guard !own.isEmpty else { return nil }
        let wanted = head.headers["access-control-request-headers"].joined(separator: ", ")
        return own + [
            ("access-control-allow-methods", "GET, POST, DELETE"),
            ("access-control-allow-headers", wanted.isEmpty ? "Content-Type" : wanted), ("access-control-max-age", "600"),
        ]
    }
}
