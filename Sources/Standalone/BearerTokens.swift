/// Who may call a bridge: tokens, and the principal that each stands for.
public struct BearerTokens: Sendable {
    private let entries: [(principal: String, token: [UInt8])]
    /// Fewer can be guessed.
    public static let shortest = 16
    private static let longest = 4096

    /// Reads a file of tokens: one a line, or `NAME TOKEN`; blank lines and `#` comments are left out. A token without a name is a
    /// principal of its own, named by its line.
    ///
    /// - Parameter file: named in errors, which never show a token.
    public init(parsing bytes: [UInt8], file: String) throws(StandaloneInputError) {
        var entries: [(principal: String, token: [UInt8])] = []
        for (number, line) in try TextLines.of(bytes, file: file) {
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            let place = "\(file):\(number)"
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            guard words.count <= 2, let token = words.last.map({ Array($0.utf8) }) else {
                throw StandaloneInputError("\(place): not of the form TOKEN or NAME TOKEN", hint: "one token a line")
            }
            guard token.count >= Self.shortest else {
                throw StandaloneInputError(
                    "\(place): the token has fewer than \(Self.shortest) characters", hint: "openssl rand -hex 32 makes one")
            }
            guard token.count <= Self.longest, token.allSatisfy(Self.isToken) else {
                throw StandaloneInputError(
                    "\(place): the token holds characters that no header can carry", hint: "letters, digits and - . _ ~ + / =")
            }
            guard !entries.contains(where: { $0.token == token }) else {
                throw StandaloneInputError("\(place): the token is there twice", hint: "a token of its own for everybody")
            }
            let name = words.count == 2 ? words[0] : "token-\(number)"
            guard name.utf8.count <= 64, name.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw StandaloneInputError("\(place): the name is no name", hint: "up to 64 visible ASCII characters")
            }
            // Else two callers could be one.
            guard words.count == 1 || !name.hasPrefix("token-") else {
                throw StandaloneInputError("\(place): names that begin with token- are those of tokens without one", hint: "another name")
            }
            entries.append((name, token))
        }
        guard !entries.isEmpty else { throw StandaloneInputError("\(file) holds no token", hint: "openssl rand -hex 32 makes one") }
        self.entries = entries
    }

    public var count: Int { entries.count }

    /// Whose token the `Authorization` headers carry; nil when there is none, more than one, or one that nobody has.
    ///
    /// Takes as long for a token that begins like ours as for any other of its length.
    public func principal(authorization: [String]) -> String? {
        guard authorization.count == 1 else { return nil }
        let parts = authorization[0].split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let given = Array(TextLines.trimmed(parts[1]).utf8)
        var found: String?
        for entry in entries where Self.equal(entry.token, given) { found = entry.principal }
        return found
    }

    private static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    /// RFC 6750, section 2.1.
    private static func isToken(_ byte: UInt8) -> Bool {
        let isLetter = ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A)
        return isLetter || (0x30...0x39).contains(byte) || "-._~+/=".utf8.contains(byte)
    }
}
