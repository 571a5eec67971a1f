import FoundationEssentials

/// At the end of a backup: what the archive holds, so that a byte that was lost or changed is found.
///
/// Backups outlive the program that made them: what is read here only gains members that may be missing, and
/// `BackupArchiveTests` keeps a manifest of each layout there ever was.
public struct BackupManifest: Codable, Sendable, Equatable {
    /// One file of the archive.
    public struct File: Codable, Sendable, Equatable {
        public var name: String
        /// Bytes.
        public var size: Int
        /// 64 hex digits.
        public var sha256: String

        public init(name: String, size: Int, sha256: String) {
            self.name = name
            self.size = size
            self.sha256 = sha256
        }
    }

    /// A connector, and what its image is built from: for who restores a backup without images.
    public struct Connector: Codable, Sendable, Equatable {
        public var name: String
        /// What it is built from, as options of `berth connector update`: `--pypi 'mcp-server-time'`; a part in capitals is for the operator
        /// to fill in.
        public var source: String
        /// What such a part stands for, for people.
        public var note: String?

        public init(name: String, source: String, note: String?) {
            self.name = name
            self.source = source
            self.note = note
        }

        /// Until 28 November 2026 a connector had `pypi` or `folder`, the package's or the folder's name, and no `source`; one of neither was
        /// told by its name alone. Those backups are read as ever.
        public init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: Member.self)
            name = try members.decode(String.self, forKey: .name)
            note = try members.decodeIfPresent(String.self, forKey: .note)
            if let source = try members.decodeIfPresent(String.self, forKey: .source) {
                self.source = source
            } else if let pypi = try members.decodeIfPresent(String.self, forKey: .pypi) {
                source = "--pypi '" + pypi.replacing("'", with: #"'\''"#) + "'"
            } else if let folder = try members.decodeIfPresent(String.self, forKey: .folder) {
                (source, note) = ("--dir DIR", "the folder \(folder)")
            } else {
                (source, note) = ("SOURCE", "what it was added with")
            }
        }

        private enum Member: String, CodingKey { case name, source, note, pypi, folder }
    }

    /// The version of Berth that made it.
    public var berth: String
    /// Layout of the state directory, ``StateDirectory/currentVersion``.
    public var stateVersion: Int
    /// Milliseconds since 1970.
    public var created: Int64
    public var holdsImages: Bool
    /// Images that the state names and that were not in the store whole: `sha256:…`.
    public var missingImages: [String] = []
    public var connectors: [Connector] = []
    public var files: [File] = []

    public init(berth: String, stateVersion: Int = StateDirectory.currentVersion, created: Int64, holdsImages: Bool) {
        self.berth = berth
        self.stateVersion = stateVersion
        self.created = created
        self.holdsImages = holdsImages
    }

    /// Every file together.
    public var bytes: Int { files.reduce(0) { $0 + $1.size } }

    func encoded() throws(StateError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(self))
        } catch {
            throw StateError(.failed, "the backup's manifest cannot be written: \(error)")
        }
    }

    static func decoded(_ bytes: [UInt8]) -> BackupManifest? { try? JSONDecoder().decode(BackupManifest.self, from: Data(bytes)) }
}

/// The names that a backup may hold, and how large each may be: whoever reads one takes nothing else.
public enum BackupName {
    /// The first entry, which tells what the archive is.
    static let mark = "berth-backup"
    static let markText = "berth-backup 1\n"
    /// The last entry but one.
    static let manifest = "manifest.json"
    /// The last entry: the manifest's own SHA-256 in hex and a newline.
    static let seal = "manifest.sha256"
    static let sealSize = 65
    static let manifestLimit = 64 << 20

    /// Where AI clients are served.
    public static let listen = "listen"
    /// The largest file: what a tar header can say.
    public static let largest = 0o77777777777
    /// Files in an archive at most.
    public static let mostFiles = 200_000

    /// What a file of that name may have in bytes; nil when no backup has one.
    public static func limit(_ name: String) -> Int? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        switch parts.count {
        case 1: return name == listen ? 256 : nil
        case 2 where parts[0] == "gateway" && parts[1] == "gateway.db", 2 where parts[0] == "orchestrator" && parts[1] == "orchestrator.db":
            return largest
        case 2: return ["gateway", "orchestrator"].contains(parts[0]) && parts[1] == "keys" ? 65_536 : nil
        case 3 where parts[0] == "gateway" && parts[1] == "audit": return isSegment(parts[2]) ? largest : nil
        case 3: return parts[0] == "orchestrator" && parts[1] == "images" && ["part-base.json", "part-builder.json"].contains(parts[2]) ? 1 << 20 : nil
        case 4 where parts[0] == "orchestrator" && parts[1] == "images":
            if parts[2] == "layers" { return isHex(parts[3], ".tar") ? largest : nil }
            return ["manifests", "configs", "builds", "facts"].contains(parts[2]) && isHex(parts[3], ".json") ? 4 << 20 : nil
        default: return nil
        }
    }

    /// 64 hex digits and an ending.
    private static func isHex(_ name: String, _ ending: String) -> Bool {
        name.hasSuffix(ending) && name.utf8.count == 64 + ending.utf8.count && name.utf8.prefix(64).allSatisfy(isHexDigit)
    }

    /// `<chain>-<number>.rows` or `.payloads`.
    private static func isSegment(_ name: String) -> Bool {
        guard let ending = [".rows", ".payloads"].first(where: name.hasSuffix) else { return false }
        let parts = name.dropLast(ending.count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...32).contains(parts[0].utf8.count), (6...12).contains(parts[1].utf8.count) else { return false }
        return parts[0].utf8.allSatisfy { isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) } && parts[1].utf8.allSatisfy(isDigit)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func isHexDigit(_ byte: UInt8) -> Bool { isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte) }
}
