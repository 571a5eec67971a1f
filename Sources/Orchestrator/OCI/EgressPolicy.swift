/// A host and port that a machine may reach.
public struct EgressDestination: Hashable, Sendable {
    public let host: String
    public let port: Int
    /// The configured package index may resolve to an address that is not public; nothing else may.
    public let allowsPrivateAddress: Bool

    public init(host: String, port: Int, allowsPrivateAddress: Bool = false) {
        self.host = host.lowercased()
        self.port = port
        self.allowsPrivateAddress = allowsPrivateAddress
    }

    /// Reads `host:port`.
    public init?(_ text: String, allowsPrivateAddress: Bool = false) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port),
            colon != text.startIndex
        else { return nil }
        self.init(host: String(text[..<colon]), port: port, allowsPrivateAddress: allowsPrivateAddress)
    }
}

/// What a machine may reach: names and ports, nothing by default.
public struct EgressPolicy: Sendable {
    public var allowed: [EgressDestination]

    public init(allowed: [EgressDestination]) { self.allowed = allowed }

    func destination(host: String, port: Int) -> EgressDestination? {
        let host = host.lowercased()
        return allowed.first { $0.port == port && $0.host == host }
    }
}

/// A connection that a machine asked for and did not get.
public struct EgressRefusal: Sendable, Equatable {
    public enum Reason: String, Sendable {
        /// The host and port are not on the list.
        case notAllowed = "not_allowed"
        /// It resolves to private, local or otherwise special addresses only.
        case notGlobal = "not_global"
        case unresolved
        case unreachable
        /// The first bytes were neither `CONNECT host:port HTTP/1.1` nor a request in absolute form.
        case malformed
        /// The connection came from another user id than the machine's.
        case foreignPeer = "foreign_peer"
        case tooMany = "too_many"
    }
    public let host: String
    public let port: Int
    public let reason: Reason
}

/// The head of a proxy request: `CONNECT host:port HTTP/1.1`, or `GET http://host/…` for an index without TLS.
struct ConnectRequest: Equatable {
    static let limit = 4 << 10

    let host: String
    let port: Int
    /// Whether a tunnel is asked for. Else the request is one in absolute form, which the destination reads itself.
    var isTunnel = true

    /// The request at the start of `bytes` and the count of bytes it takes; `nil` while the head is not whole.
    static func parse(_ bytes: [UInt8]) throws(MalformedRequest) -> (request: ConnectRequest, length: Int)? {
        guard let end = bytes.indices.dropLast(3).first(where: { Array(bytes[$0..<$0 + 4]) == [13, 10, 13, 10] }) else {
            if bytes.count >= limit { throw MalformedRequest() }
            return nil
        }
        let line = bytes[..<end].prefix { $0 != 13 }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { throw MalformedRequest() }
        let isTunnel = words[0] == "CONNECT"
        guard let destination = EgressDestination(isTunnel ? String(words[1]) : try authority(words[1])), isName(destination.host) else {
            throw MalformedRequest()
        }
        return (ConnectRequest(host: destination.host, port: destination.port, isTunnel: isTunnel), isTunnel ? end + 4 : 0)
    }

    /// `host:port` of a target in absolute form.
    private static func authority(_ target: Substring) throws(MalformedRequest) -> String {
        guard target.hasPrefix("http://") else { throw MalformedRequest() }
        let authority = target.dropFirst("http://".count).prefix { $0 != "/" && $0 != "?" }
        return authority.contains(":") ? String(authority) : authority + ":80"
    }

    /// Host names only: an address literal is never on the list, and anything else would end up in logs.
    private static func isName(_ host: String) -> Bool {
        host.utf8.count <= 253
            && host.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 46 || $0 == 95 }
    }

    struct MalformedRequest: Error {}
}
