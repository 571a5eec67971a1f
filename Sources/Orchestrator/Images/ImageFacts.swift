import Glibc
import MachineAPI

/// What an image was made of, for people and for its bill of materials: nothing that starts a machine depends on it.
struct ImageFacts: Codable, Sendable, Equatable {
    /// Of the first build that gave it; another source may give the same image.
    var source: ImageSource
    var packages: [String]
    /// Seconds since 1970.
    var made: Int

    /// Of what the source names; nil where it has none. Of an OCI image its digest.
    var version: String? {
        if let name = source.pypi.flatMap({ try? Requirement($0) })?.name {
            return packages.lazy.compactMap { package -> String? in
                guard let end = package.firstRange(of: "=="), Requirement.normalized(package[..<end.lowerBound]) == Requirement.normalized(name) else { return nil }
                return String(package[end.upperBound...])
            }.first
        }
        if let name = source.npm.flatMap({ try? NpmSpec($0) })?.name {
            return packages.first { $0.hasPrefix(name + "@") }.map { String($0.dropFirst(name.utf8.count + 1)) }
        }
        return source.oci == nil && source.layout == nil ? nil : packages.first?.split(separator: "@").last.map(String.init)
    }

    private static func path(_ hex: String, _ store: String) -> String { store + "/facts/\(hex).json" }

    /// Those of an image; nil for one that was made before they were kept.
    static func read(_ hex: String, in store: String) -> ImageFacts? {
        Disk.read(path(hex, store), limit: 4 << 20).flatMap { CanonicalJSON.decode(ImageFacts.self, $0) }
    }

    /// Keeps them, unless there are some.
    static func keep(_ built: BuiltImage, of source: ImageSource, in store: String) throws {
        guard let hex = Identifier.hex(ofDigest: built.image), read(hex, in: store) == nil else { return }
        let facts = ImageFacts(source: source, packages: built.packages, made: time(nil))
        try Disk.replace(path(hex, store), try CanonicalJSON.encode(facts), staging: store + "/building")
    }
}
