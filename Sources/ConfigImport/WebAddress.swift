/// What of an address matters here: where it leads, and whether it carries more than that.
struct WebAddress: Equatable {
    let scheme: String
    let host: String
    let port: Int?
    /// A password, or what may be one, stands before the host.
    let hasPassword: Bool
    /// What is behind the host: path, query, fragment.
    let rest: String

    /// `scheme://host[:port]`, without anything that could be secret.
    var origin: String { "\(scheme)://\(host)" + (port.map { ":\($0)" } ?? "") }
    /// A name with a dot that anybody can look up, and no address.
    var isPublicName: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count > 1, parts.allSatisfy({ !$0.isEmpty }), let last = parts.last, last.utf8.contains(where: { (0x61...0x7A).contains($0) })
        else {
            return false
        }
        return !["local", "localhost", "internal", "lan", "home", "test", "invalid"].contains(String(last))
    }

    /// - Parameter schemes: empty takes any.
    init?(_ text: String, schemes: [String] = ["http", "https"]) {
        guard text.utf8.count <= 4_096, let mark = text.firstRange(of: "://") else { return nil }
        scheme = text[..<mark.lowerBound].lowercased()
        guard !scheme.isEmpty, scheme.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0) }) else {
            return nil
        }
        guard schemes.isEmpty || schemes.contains(scheme) else { return nil }
        var authority = text[mark.upperBound...].prefix { !"/?#".contains($0) }
        rest = String(text[authority.endIndex...])
        var hasPassword = false
        if let at = authority.lastIndex(of: "@") {
            // A token stands there without a name, or a name without a password: nobody can tell which.
            hasPassword = at > authority.startIndex
            authority = authority[authority.index(after: at)...]
        }
        self.hasPassword = hasPassword
        var name = authority
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
            guard let number = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            port = number
            name = authority[..<colon]
        } else {
            port = nil
        }
        host = name.lowercased()
        guard !host.isEmpty, host.utf8.count <= 253,
            host.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || "-._[]:".utf8.contains($0) })
        else { return nil }
    }
}
