import MachineAPI

/// A requirement on a package of the index, `name[extras]==version ; marker`: what an admin may type.
///
/// Options, paths and addresses are no requirements here: they would make a build depend on something else than the index.
struct Requirement: Equatable, Sendable {
    /// As it was given, trimmed.
    let text: String
    /// The package's name in its normal form.
    let name: String
    /// Whether exactly one version is asked for.
    let isPinned: Bool
    /// That version.
    let pinned: String?

    init(_ given: String) throws(ImageBuildFailure) {
        let text = given.trimmingBlanks
        guard text.utf8.count <= 500, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { throw Self.refusal(given) }
        let name = text.utf8.prefix { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") }
        guard let first = name.first, first.isASCIILetterOrDigit, let last = name.last, last.isASCIILetterOrDigit else { throw Self.refusal(given) }
        var rest = text.utf8.dropFirst(name.count).drop { $0 == UInt8(ascii: " ") }
        if rest.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else { throw Self.refusal(given) }
            rest = rest[rest.index(after: end)...].drop { $0 == UInt8(ascii: " ") }
        }
        // The first character decides what follows: a version, a marker or nothing. `@` would be an address.
        if let next = rest.first, !"=<>!~(;".utf8.contains(next) { throw Self.refusal(given) }
        guard !rest.contains(UInt8(ascii: "@")), !rest.contains(UInt8(ascii: "#")), !rest.contains(UInt8(ascii: "\\")) else {
            throw Self.refusal(given)
        }
        self.text = text
        self.name = Self.normalized(String(decoding: Array(name), as: UTF8.self))
        let version = String(decoding: Array(rest.prefix { $0 != UInt8(ascii: ";") }), as: UTF8.self).trimmingBlanks
        for clause in version.split(separator: ",") {
            let comparison = clause.drop { " (".contains($0) }.prefix { "=<>!~".contains($0) }
            guard ["", "==", "===", "!=", "~=", "<", "<=", ">", ">="].contains(comparison) else { throw Self.refusal(given) }
        }
        isPinned = version.hasPrefix("==") && !version.contains("*") && !version.contains(",")
        pinned = isPinned ? version.drop { $0 == "=" }.trimmingBlanks : nil
    }

    /// The index's own rule: lower case, and `-`, `_`, `.` in any number are one `-`.
    static func normalized(_ name: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        for byte in name.lowercased().utf8 {
            if byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") {
                if bytes.last != UInt8(ascii: "-") { bytes.append(UInt8(ascii: "-")) }
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func refusal(_ given: String) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "bad_source", message: "\(given.prefix(200)) is no requirement on a package.",
            hint: "Write NAME, NAME==VERSION or NAME[EXTRA]==VERSION, as in mcp-server-time==2026.10.19.")
    }
}

extension StringProtocol {
    /// Without blanks, tabs and line ends around it.
    var trimmingBlanks: String {
        let blanks: Set<Character> = [" ", "\t", "\n", "\r", "\r\n"]
        var text = self[...]
        while let first = text.first, blanks.contains(first) { text.removeFirst() }
        while let last = text.last, blanks.contains(last) { text.removeLast() }
        return String(text)
    }
}

/// The file in which a resolution is kept: every package with its version and the hashes of its files.
enum Lockfile {
    /// Beside the packages that were installed by it.
    static let name = "requirements.lock"

    /// A package that lies in a directory of installed ones and is not in the lock, or is there in another version: `name 1.0`.
    static func unlisted(in directory: String, _ lock: String) -> String? {
        let versions = Dictionary(
            versions(lock).map { (Requirement.normalized($0.key.prefix { $0 != "[" }), plain($0.value)) }, uniquingKeysWith: { first, _ in first })
        for entry in Files.names(directory) where entry.hasSuffix(".dist-info") {
            guard let metadata = Disk.read(directory + "/" + entry + "/METADATA", limit: 16 << 20),
                let found = PythonParts.installed(String(decoding: metadata, as: UTF8.self)), let version = found.version
            else { continue }
            if versions[Requirement.normalized(found.name[...])] != plain(version) { return "\(found.name) \(version)" }
        }
        return nil
    }

    /// `1.0` and `1.00`, `1.0-post1` and `1.0.post1` are one version: its numbers and words, without zeros at the end.
    private static func plain(_ version: String) -> [String] {
        var parts: [String] = []
        for character in version.lowercased() where character.isASCII {
            if character.isNumber || character.isLetter {
                if let last = parts.last?.last, last.isNumber == character.isNumber { parts[parts.count - 1].append(character) } else { parts.append(String(character)) }
            } else if parts.last != "" {
                parts.append("")
            }
        }
        parts = parts.filter { !$0.isEmpty }.map { part in
            let number = part.drop { $0 == "0" }
            return part.first?.isNumber == true ? (number.isEmpty ? "0" : String(number)) : part
        }
        while parts.last == "0" { parts.removeLast() }
        return parts
    }

    /// `name==version` of each package.
    static func packages(_ text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            guard let first = line.first, first != " ", first != "#", first != "-" else { return nil }
            let requirement = line.prefix { $0 != " " && $0 != "\\" && $0 != ";" }
            return requirement.contains("==") ? String(requirement) : nil
        }
    }

    /// The version of each package, by its normal name.
    static func versions(_ text: String) -> [String: String] {
        let pairs = packages(text).compactMap { package in
            package.firstRange(of: "==").map { (Requirement.normalized(package[..<$0.lowerBound]), String(package[$0.upperBound...])) }
        }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }

    /// Whether every package has a hash: what is installed is what was resolved.
    static func isHashed(_ text: String) -> Bool {
        let lines = text.split(whereSeparator: \.isNewline)
        return packages(text).count <= lines.count { $0.contains("--hash=sha256:") }
    }
}
