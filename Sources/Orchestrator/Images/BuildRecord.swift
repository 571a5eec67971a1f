import Glibc
import MachineAPI

/// What a build's result depends on; equal inputs give the same image without a build.
struct BuildInputs: Codable, Sendable, Equatable {
    /// Raised when the way images are made changes.
    var version = 1
    var source: ImageSource
    var base: String
    var builder: String
    var index: String
    /// Of npm packages: the layer of Node.
    var node: String?

    func key() throws -> String { try CanonicalJSON.digest(self) }
}

/// The result of a build, kept under the key of its inputs.
struct BuildRecord: Codable, Sendable, Equatable {
    /// How long a result without a pinned version stands for "the newest".
    static let freshness = 24 * 3600

    var built: BuiltImage
    /// Seconds since 1970.
    var made: Int
    /// Whether the source names one version (or a folder), so that the result never ages.
    var isPinned: Bool

    static func read(_ key: String, in store: ImageStore) -> BuildRecord? {
        guard let bytes = Disk.read(store.directory + "/builds/\(key).json", limit: 4 << 20),
            let record = CanonicalJSON.decode(BuildRecord.self, bytes)
        else { return nil }
        return record.isPinned || time(nil) - record.made < freshness ? record : nil
    }

    func write(_ key: String, in store: ImageStore) throws {
        try Disk.replace(store.directory + "/builds/\(key).json", try CanonicalJSON.encode(self), staging: store.directory + "/building")
    }
}
