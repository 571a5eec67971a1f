/// Names of packages across ecosystems (`purl`): `pkg:pypi/mcp@1.2.0`.
enum PackageURL {
    /// - Parameter name: in any spelling that the index takes for it.
    static func pypi(_ name: String, _ version: String) -> String { "pkg:pypi/\(encoded(Requirement.normalized(name)))@\(encoded(version))" }

    /// - Parameter name: `name` or `@scope/name`.
    static func npm(_ name: String, _ version: String) -> String {
        let parts = name.split(separator: "/", maxSplits: 1).map { encoded($0.lowercased()) }
        return "pkg:npm/\(parts.joined(separator: "/"))@\(encoded(version))"
    }

    /// A package of a distribution; without a version where nothing tells it.
    static func system(_ type: String, _ distribution: String, _ name: String, _ version: String?, architecture: String?, release: String?) -> String {
        let qualifiers = [("arch", architecture), ("distro", release)].compactMap { key, value in value.map { "\(key)=\(encoded($0, besides: "/"))" } }
        return "pkg:\(type)/\(encoded(distribution))/\(encoded(name.lowercased()))" + (version.map { "@" + encoded($0) } ?? "")
            + (qualifiers.isEmpty ? "" : "?" + qualifiers.joined(separator: "&"))
    }

    /// An image of a registry.
    ///
    /// - Parameter place: `host/name`.
    static func oci(_ place: String, digest: String) -> String {
        let name = place.split(separator: "/").last.map(String.init) ?? place
        return "pkg:oci/\(encoded(name.lowercased()))@\(encoded(digest))?repository_url=\(encoded(place.lowercased(), besides: "/"))"
    }

    /// As the canonical form has it.
    ///
    /// - Parameter besides: what stays as it is in this place.
    private static func encoded(_ text: some StringProtocol, besides: String = "") -> String {
        var out = ""
        for byte in text.utf8 {
            if byte.isASCIILetterOrDigit || ".-_~:".utf8.contains(byte) || besides.utf8.contains(byte) {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                out += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return out
    }
}
