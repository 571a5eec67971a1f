import Wire

/// Who is at the other end of a request, where a proxy may stand between: `X-Forwarded-For` counts only from the networks
/// that the operator named (`--behind-proxy`); no other forwarded header ever counts, since the public URL is configured.
struct ClientAddress: Sendable {
    let proxies: [AddressBlock]

    /// The address to log for a request.
    ///
    /// - Parameters:
    ///   - peer: The connection's other end; `nil` on a unix socket.
    ///   - forwardedFor: Every value of `X-Forwarded-For`, in order. Read from its end: each proxy appends whom it saw, so the
    ///     first entry that is not a proxy's is the client as a proxy that we trust saw it; what stands before it, the client
    ///     may have written itself.
    func of(peer: String?, forwardedFor: [String]) -> String {
        guard let peer else { return "" }
        guard !proxies.isEmpty, let address = IPAddress(peer)?.unmapped, isProxy(address) else {
            return peer.hasPrefix("::ffff:") ? String(peer.dropFirst(7)) : peer
        }
        var last = address
        for entry in forwardedFor.flatMap({ $0.split(separator: ",") }).reversed() {
            guard let next = Self.address(entry) else { break }
            last = next
            if !isProxy(next) { break }
        }
        return last.description
    }

    /// May this peer connect? Where proxies are named, only they may, and this host: a client that went round them would
    /// send its token in the clear.
    func admits(peer: String?) -> Bool {
        guard !proxies.isEmpty, let peer else { return true }
        guard let address = IPAddress(peer)?.unmapped else { return false }
        return address.isLoopback || isProxy(address)
    }

    private func isProxy(_ address: IPAddress) -> Bool { proxies.contains { $0.contains(address) } }

    /// Some proxies add a port, and brackets to IPv6: `203.0.113.7:4711`, `[2001:db8::7]:4711`.
    private static func address(_ entry: Substring) -> IPAddress? {
        var text = entry.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        guard text.utf8.count <= 64 else { return nil }
        if text.first == "[", let end = text.firstIndex(of: "]") {
            return IPAddress(String(text[text.index(after: text.startIndex)..<end]))?.unmapped
        }
        if let whole = IPAddress(String(text)) { return whole.unmapped }
        return text.firstIndex(of: ":").flatMap { IPAddress(String(text[..<$0])) }
    }
}
