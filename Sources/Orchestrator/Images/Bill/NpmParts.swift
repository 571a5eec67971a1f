import FoundationEssentials

/// Packages of npm in an image: from the lock that they were installed by, and from what each installed one says of itself.
enum NpmParts {
    static let lock = String(NodeLayer.packages.dropFirst()) + "/package-lock.json"

    private struct Lock: Decodable {
        struct Entry: Decodable {
            var version: String?
            var integrity: String?
        }

        var packages: [String: Entry]
    }

    /// Of a lock file of version 3.
    static func locked(_ bytes: [UInt8]) -> [BillOfMaterials.Component] {
        guard let lock = CanonicalJSON.decode(Lock.self, bytes) else { return [] }
        return lock.packages.sorted { $0.key < $1.key }.compactMap { path, entry in
            guard let end = path.lastEnd(of: "node_modules/"), let version = entry.version else { return nil }
            guard var component = component(String(path[end...]), version) else { return nil }
            component.hashes = entry.integrity.flatMap(hash).map { [$0] }
            return component
        }
    }

    private struct Manifest: Decodable {
        var name: String
        var version: String
        /// Text today; objects in packages of long ago.
        var license: Lenient?
    }

    private struct Lenient: Decodable {
        var text: String?

        init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
    }

    /// Of an installed package's `package.json`.
    static func installed(_ bytes: [UInt8]) -> BillOfMaterials.Component? {
        guard let manifest = CanonicalJSON.decode(Manifest.self, bytes), var component = component(manifest.name, manifest.version) else { return nil }
        component.licenses = manifest.license?.text.flatMap(LicenseText.expression).map { [$0] }
        return component
    }

    private static func component(_ name: String, _ version: String) -> BillOfMaterials.Component? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard PartName.isName(name), PartName.isVersion(version), parts.count == (name.hasPrefix("@") ? 2 : 1) else { return nil }
        let purl = PackageURL.npm(name, version)
        var component = BillOfMaterials.Component(type: .library, ref: purl, name: name, version: version)
        component.purl = purl
        return component
    }

    /// `sha512-<base64>`, the first where there are several.
    private static func hash(_ integrity: String) -> BillOfMaterials.Hash? {
        let parts = (integrity.split(separator: " ").first ?? "").split(separator: "-", maxSplits: 1)
        let algorithms: [Substring: BillOfMaterials.Hash.Algorithm] = ["sha1": .sha1, "sha256": .sha256, "sha384": .sha384, "sha512": .sha512]
        guard parts.count == 2, let algorithm = algorithms[parts[0]], let bytes = Data(base64Encoded: String(parts[1])) else { return nil }
        return BillOfMaterials.Hash(algorithm, bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
    }
}

extension String {
    /// Where the last occurrence of a text ends.
    fileprivate func lastEnd(of text: String) -> String.Index? {
        ranges(of: text).last?.upperBound
    }
}
