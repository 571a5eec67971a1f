import JSONText
import MachineAPI

/// What a build machine found out about releases at their index, as `/out/releases.json`.
///
/// The index's word, through a machine: every field may be missing, wrong or made to deceive. Nothing here decides more than what a person
/// is told and asked.
struct ReleaseFacts: Sendable, Equatable, Decodable {
    var name: String
    /// That of the newest upload, where the machine was not told which.
    var version: String?
    /// Seconds since 1970; of the newest file of the release.
    var uploaded: Int?
    var author: String?
    var publishers: [String]?
    var bytes: Int?

    static let limit = 256 << 10

    private struct Document: Decodable { var releases: [ReleaseFacts] }

    /// By the name that was asked for; nothing where the document is not what it should be.
    static func read(_ bytes: [UInt8]?) -> [String: ReleaseFacts] {
        guard let bytes, let document = CanonicalJSON.decode(Document.self, bytes) else { return [:] }
        return Dictionary(document.releases.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// What is asked of the index, as `/in/releases.json`.
    struct Question: Encodable, Sendable, Equatable {
        var name: String
        /// nil: the newest, where no lock tells.
        var version: String?
    }
}

extension ReleaseReport {
    /// - Parameters:
    ///   - name: as the build has it, not as the index tells it.
    ///   - version: of the lock; nil where there is none yet, so that the build itself chooses.
    init(_ kind: Kind, name: String, version: String?, facts: ReleaseFacts?, now: Int, rules: ReleaseRules) {
        let told = facts?.version.flatMap(Self.plainVersion)
        let known = version.flatMap(Self.plainVersion) ?? told
        self.init(
            kind: kind, name: name, version: known, exact: version != nil,
            accept: known.map { name + (kind == .pypi ? "==" : "@") + $0 } ?? name)
        // Half an aeon before any index, or after whoever reads this, is no time.
        published_at = facts?.uploaded.flatMap { (1...1 << 40).contains($0) ? $0 : nil }
        age = published_at.map { now - $0 }
        author = facts?.author.flatMap(Self.readable)
        publishers = (facts?.publishers ?? []).prefix(10).compactMap(Self.readable)
        bytes = facts?.bytes.flatMap { (0...1 << 40).contains($0) ? $0 : nil }
        doubts = rules.doubts(self)
    }

    /// A version may go on a command line.
    private static func plainVersion(_ text: String) -> String? {
        let isPlain = text.utf8.allSatisfy { $0.isASCIILetterOrDigit || ".-+_!".utf8.contains($0) }
        return isPlain && !text.isEmpty && text.utf8.count <= 64 ? text : nil
    }

    /// One line without what a terminal would obey or an eye would miss; nil where nothing is left.
    private static func readable(_ text: String) -> String? {
        let seen = String(String.UnicodeScalarView(text.unicodeScalars.prefix(400).filter { $0.properties.generalCategory != .format }))
        let line = Printable.line(seen).trimmingBlanks
        return line.isEmpty ? nil : String(line.prefix(120))
    }
}
