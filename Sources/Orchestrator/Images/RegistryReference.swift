import MachineAPI

/// An image of a registry, `HOST[:PORT]/NAME[:TAG][@sha256:…]`. The registry is always named: there is none by default.
struct RegistryReference: Equatable, Sendable {
    let host: String
    /// `host` or `host:port`, as it was given.
    let authority: String
    let name: String
    let tag: String
    /// `sha256:…` where one image is asked for, whatever its tag.
    let digest: String?

    /// Plain HTTP is for this host alone.
    var isLocal: Bool { host == "localhost" || (host.hasPrefix("127.") && host.allSatisfy { $0.isNumber || $0 == "." }) }
    var base: String { (isLocal ? "http://" : "https://") + authority }
    /// `host:port`.
    var destination: String { authority.contains(":") ? authority : "\(authority):\(isLocal ? 80 : 443)" }
    var text: String { "\(authority)/\(name)" + (digest.map { "@" + $0 } ?? ":" + tag) }

    init(_ given: String) throws(ImageBuildFailure) {
        let text = given.trimmingBlanks
        guard text.utf8.count <= 512, let slash = text.firstIndex(of: "/") else { throw Self.refusal(given) }
        authority = text[..<slash].lowercased()
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        host = parts.first.map(String.init) ?? ""
        // A first part without a dot or a port is the beginning of a name.
        guard host == "localhost" || authority.contains(".") || parts.count == 2 else { throw Self.refusal(given) }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0.isASCIILetterOrDigit || ".-".utf8.contains($0) }), host.utf8.count <= 253,
            parts.count == 1 || Int(parts[1]).map({ (1...65_535).contains($0) }) == true
        else { throw Self.refusal(given) }
        var rest = text[text.index(after: slash)...]
        if let at = rest.firstIndex(of: "@") {
            let digest = String(rest[rest.index(after: at)...])
            guard Identifier.hex(ofDigest: digest) != nil else { throw Self.refusal(given) }
            self.digest = digest
            rest = rest[..<at]
        } else {
            digest = nil
        }
        if let colon = rest.lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        } else {
            tag = "latest"
        }
        name = String(rest)
        guard Self.isTag(tag), name.utf8.count <= 255,
            name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy({ Self.isPart($0) })
        else { throw Self.refusal(given) }
    }

    private static func isTag(_ tag: String) -> Bool {
        guard let first = tag.utf8.first, first.isASCIILetterOrDigit || first == UInt8(ascii: "_"), tag.utf8.count <= 128 else { return false }
        return tag.utf8.allSatisfy { $0.isASCIILetterOrDigit || "._-".utf8.contains($0) }
    }

    /// Lower case, and separators between letters and digits only.
    private static func isPart(_ part: Substring) -> Bool {
        func isPlain(_ byte: UInt8?) -> Bool {
            guard let byte, byte.isASCIILetterOrDigit else { return false }
            return !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        }
        guard isPlain(part.utf8.first), isPlain(part.utf8.last) else { return false }
        return part.utf8.allSatisfy { isPlain($0) || "._-".utf8.contains($0) }
    }

    private static func refusal(_ given: String) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "bad_source", message: "\(given.prefix(200)) is no image of a registry, and no layout on this host.",
            hint: "Write HOST/NAME, HOST/NAME:TAG or HOST/NAME@sha256:DIGEST, the registry's host too; a layout by its path.")
    }
}
