import MachineAPI

/// A package of an npm registry, `[@scope/]name[@version, range or tag]`: what an admin may type.
///
/// Addresses, git references, folders, archives and aliases are none here: they would make a build depend on something else
/// than the registry.
struct NpmSpec: Equatable, Sendable {
    let name: String
    /// What the resolver is asked for; `latest` where nothing is said.
    let range: String
    /// Whether exactly one version is asked for.
    let isPinned: Bool

    /// `name@range`.
    var text: String { "\(name)@\(range)" }

    init(_ given: String) throws(ImageBuildFailure) {
        let text = given.trimmingBlanks
        guard text.utf8.count <= 300, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { throw Self.refusal(given) }
        // The first character may be a scope's.
        let at = text.dropFirst().firstIndex(of: "@")
        let name = String(text[..<(at ?? text.endIndex)])
        let range = at.map { String(text[text.index(after: $0)...]).trimmingBlanks } ?? "latest"
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isName =
            name.hasPrefix("@")
            ? parts.count == 2 && Self.isPart(parts[0].dropFirst()) && Self.isPart(parts[1])
            : parts.count == 1 && Self.isPart(parts[0])
        guard isName, name.utf8.count <= 214 else { throw Self.refusal(given) }
        // No colon and no slash: those are addresses, aliases and paths.
        guard !range.isEmpty, !range.hasPrefix("-"), range.utf8.allSatisfy({ $0.isASCIILetterOrDigit || " .^~<>=|*+-_".utf8.contains($0) }) else {
            throw Self.refusal(given)
        }
        self.name = name
        self.range = range
        let numbers = range.prefix { $0.isNumber || $0 == "." }.split(separator: ".", omittingEmptySubsequences: false)
        let rest = range.drop { $0.isNumber || $0 == "." }
        isPinned =
            numbers.count == 3 && numbers.allSatisfy { !$0.isEmpty } && (rest.isEmpty || "-+".contains(rest.first ?? " ")) && !rest.contains(" ")
    }

    private static func isPart(_ part: some StringProtocol) -> Bool {
        guard let first = part.utf8.first, first.isASCIILetterOrDigit || first == UInt8(ascii: "~") else { return false }
        return part.utf8.allSatisfy { $0.isASCIILetterOrDigit || "-._~".utf8.contains($0) }
    }

    private static func refusal(_ given: String) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "bad_source", message: "\(given.prefix(200)) is no package of an npm registry.",
            hint: "Write NAME, NAME@VERSION or @SCOPE/NAME@VERSION; addresses, git and folders are not taken (--dir hosts a folder).")
    }
}
