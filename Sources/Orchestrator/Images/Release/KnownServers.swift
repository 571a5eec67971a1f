import MachineAPI

/// Names of well-known servers, which others like to be taken for.
public struct KnownServers: Sendable, Equatable {
    /// As they are written, by what kind they are: a name that is known in one place is a stranger's in another.
    private var names: [String: Set<String>]

    /// Those of ``KnownServers/list``.
    static let standard = {
        var servers = KnownServers(names: [:])
        for line in list.split(whereSeparator: \.isNewline) { if let (kind, name) = name(of: line) { servers.names[kind, default: []].insert(name) } }
        return servers
    }()

    private static let mostNames = 20_000
    private static let mostBytes = 1 << 20

    private init(names: [String: Set<String>]) { self.names = names }

    /// The standard ones and an operator's: one a line, `pypi NAME`, `npm NAME` or `oci NAME`; `#` begins a comment.
    ///
    /// - Throws: `bad_list` with the line.
    public init(adding path: String) throws(ImageBuildFailure) {
        func refusal(_ why: String) -> ImageBuildFailure {
            ImageBuildFailure(error: "bad_list", message: "\(path) \(why).", hint: "One server a line: pypi NAME, npm NAME or oci NAME.")
        }
        guard let bytes = Disk.readFollowing(path, limit: Self.mostBytes) else { throw refusal("cannot be read, or is longer than 1 MiB") }
        self = .standard
        for (number, line) in String(decoding: bytes, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let text = line.prefix { $0 != "#" }.trimmingBlanks
            guard !text.isEmpty else { continue }
            guard let (kind, name) = Self.name(of: text) else { throw refusal("is no list of servers: line \(number + 1)") }
            names[kind, default: []].insert(name)
        }
        guard names.values.reduce(0, { $0 + $1.count }) <= Self.mostNames else { throw refusal("names more than \(Self.mostNames) servers") }
    }

    private static func name(of line: some StringProtocol) -> (kind: String, name: String)? {
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, ["pypi", "npm", "oci"].contains(words[0]), words[1].utf8.count <= 214,
            words[1].utf8.allSatisfy({ $0.isASCIILetterOrDigit || "@/-._~".utf8.contains($0) })
        else { return nil }
        return (String(words[0]), words[0] == "pypi" ? Requirement.normalized(words[1]) : words[1].lowercased())
    }

    /// The well-known one that a name could be taken for; nil where it is one itself, or like none. The same name of another kind is like it.
    ///
    /// Like is: one letter more, less or other, two neighbours in the other's place, or the same but for separators and for signs that look alike.
    func resembled(by given: String, _ kind: ReleaseReport.Kind) -> String? {
        let name = given.lowercased()
        guard names[kind.rawValue]?.contains(name) != true else { return nil }
        let (letters, folded) = (Array(name.utf8), Self.folded(name))
        return names.values.joined().filter { known in
            // Of short names too many are near to each other.
            Self.folded(known) == folded || (min(known.utf8.count, letters.count) >= 6 && Self.isOneStep(Array(known.utf8), letters))
        }.min()
    }

    /// Without separators, and with one sign for those that look alike.
    static func folded(_ name: String) -> String {
        let bare = String(decoding: name.utf8.filter { $0.isASCIILetterOrDigit }, as: UTF8.self)
        return bare.replacing("rn", with: "m").replacing("vv", with: "w").replacing("0", with: "o").replacing("5", with: "s")
            .replacing("1", with: "l").replacing("i", with: "l")
    }

    /// One letter more, less or other, or two neighbours in the other's place.
    static func isOneStep(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard abs(a.count - b.count) <= 1, a != b else { return false }
        let start = zip(a, b).prefix { $0 == $1 }.count
        let (left, right) = (a[start...], b[start...])
        if left.count == right.count {
            if left.dropFirst() == right.dropFirst() { return true }
            return left.count >= 2 && left.first == right.dropFirst().first && right.first == left.dropFirst().first
                && left.dropFirst(2) == right.dropFirst(2)
        }
        return left.count > right.count ? left.dropFirst() == right : left == right.dropFirst()
    }
}
