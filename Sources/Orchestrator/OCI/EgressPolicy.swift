import Door

/// A host and port that a machine may reach.
public struct EgressDestination: Hashable, Sendable {
    public let host: String
    public let port: Int
    public let reach: AddressReach

    public init(host: String, port: Int, reach: AddressReach = .global) {
        self.host = host.lowercased()
        self.port = port
        self.reach = reach
    }

    /// Reads `host:port`.
    public init?(_ text: String, reach: AddressReach = .global) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port),
            colon != text.startIndex
        else { return nil }
        self.init(host: String(text[..<colon]), port: port, reach: reach)
    }
}

/// What a machine may reach: names and ports, nothing by default.
public struct EgressPolicy: Sendable {
    private let destination: @Sendable (_ host: String, _ port: Int) -> EgressDestination?

    /// A build's: hosts by their whole names.
    public init(allowed: [EgressDestination]) {
        destination = { host, port in allowed.first { $0.port == port && $0.host == host } }
    }

    /// A connector's.
    public init(_ list: EgressList) {
        destination = { host, port in
            guard let host = HostName.normal(host), list.covers(host, port: port) else { return nil }
            return EgressDestination(host: host, port: port, reach: list.isPrivate(host, port: port) ? .privateToo : .global)
        }
    }

    func destination(host: String, port: Int) -> EgressDestination? { destination(host.lowercased(), port) }
}

/// What a machine's agent says to the relay.
enum RelayRequest: Equatable {
    case connect(ConnectRequest)
    /// `REFUSED host:port/reason/count HTTP/1.1`: what the agent itself refused, for the relay to count.
    case refused(EgressRefusal, count: Int)

    /// The request at the start of `bytes` and the count of bytes it takes; `nil` while the head is not whole.
    static func parse(_ bytes: [UInt8]) throws(ConnectRequest.MalformedRequest) -> (request: RelayRequest, length: Int)? {
        guard bytes.starts(with: Array("REFUSED ".utf8)) else { return try ConnectRequest.parse(bytes).map { (.connect($0.request), $0.length) } }
        guard let end = try ConnectRequest.headEnd(bytes) else { return nil }
        let words = String(decoding: bytes[..<end].prefix { $0 != 13 }, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        let parts = words.count == 3 ? words[1].split(separator: "/", omittingEmptySubsequences: false) : []
        guard parts.count == 3, let colon = parts[0].lastIndex(of: ":"), let port = UInt16(parts[0][parts[0].index(after: colon)...]),
            let reason = EgressRefusal.Reason(rawValue: String(parts[1])), let count = Int(parts[2]), (1...1_000_000).contains(count)
        else { throw ConnectRequest.MalformedRequest() }
        let host = parts[0][..<colon]
        // An address that was asked for, of either family, or a name.
        guard host.utf8.count <= 253, host.utf8.allSatisfy({ ConnectRequest.isOfName($0) || $0 == UInt8(ascii: ":") }) else {
            throw ConnectRequest.MalformedRequest()
        }
        return (.refused(EgressRefusal(host: String(host), port: Int(port), reason: reason), count: count), end + 4)
    }
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
        guard let end = try headEnd(bytes) else { return nil }
        let line = bytes[..<end].prefix { $0 != 13 }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { throw MalformedRequest() }
        let isTunnel = words[0] == "CONNECT"
        guard let destination = EgressDestination(isTunnel ? String(words[1]) : try authority(words[1])), isName(destination.host) else {
            throw MalformedRequest()
        }
        return (ConnectRequest(host: destination.host, port: destination.port, isTunnel: isTunnel), isTunnel ? end + 4 : 0)
    }

    /// Where the blank line begins.
    static func headEnd(_ bytes: [UInt8]) throws(MalformedRequest) -> Int? {
        if let end = bytes.indices.dropLast(3).first(where: { Array(bytes[$0..<$0 + 4]) == [13, 10, 13, 10] }) { return end }
        if bytes.count >= limit { throw MalformedRequest() }
        return nil
    }

    /// `host:port` of a target in absolute form.
    private static func authority(_ target: Substring) throws(MalformedRequest) -> String {
        guard target.hasPrefix("http://") else { throw MalformedRequest() }
        let authority = target.dropFirst("http://".count).prefix { $0 != "/" && $0 != "?" }
        return authority.contains(":") ? String(authority) : authority + ":80"
    }

    /// Host names only: an address literal is never on the list, and anything else would end up in logs.
    private static func isName(_ host: String) -> Bool {
        host.utf8.count <= 253 && host.utf8.allSatisfy(isOfName)
    }

    static func isOfName(_ byte: UInt8) -> Bool {
        (97...122).contains(byte) || (48...57).contains(byte) || byte == 45 || byte == 46 || byte == 95
    }

    struct MalformedRequest: Error {}
}
