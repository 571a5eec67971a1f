/// A bill of materials as CycloneDX 1.6 writes it, as far as Berth tells one. Members are the standard's own names.
struct BillOfMaterials: Encodable, Sendable {
    var bomFormat = "CycloneDX"
    var specVersion = "1.6"
    var serialNumber: String
    var version = 1
    var metadata: Metadata
    var components: [Component]
    var dependencies: [Dependency]
    var compositions: [Composition]

    struct Metadata: Encodable, Sendable {
        var component: Component
        var tools = Tools()
    }

    struct Tools: Encodable, Sendable {
        var components = [Component(type: .application, ref: nil, name: "berth")]
    }

    struct Component: Encodable, Sendable, Equatable {
        enum Kind: String, Encodable, Sendable { case application, container, file, library, operatingSystem = "operating-system" }

        var type: Kind
        var ref: String?
        var name: String
        var version: String?
        var hashes: [Hash]?
        var licenses: [License]?
        var purl: String?
        var externalReferences: [Reference]?
        var properties: [Property]?
        /// Inside this one.
        var components: [Component]?

        init(type: Kind, ref: String?, name: String, version: String? = nil) {
            self.type = type
            self.ref = ref
            self.name = name
            self.version = version
        }

        private enum CodingKeys: String, CodingKey {
            case type, name, version, hashes, licenses, purl, externalReferences, properties, components
            case ref = "bom-ref"
        }
    }

    struct Hash: Encodable, Sendable, Hashable {
        enum Algorithm: String, Encodable, Sendable { case sha1 = "SHA-1", sha256 = "SHA-256", sha384 = "SHA-384", sha512 = "SHA-512" }

        var alg: Algorithm
        /// Hex, in lower case.
        var content: String

        /// - Returns: nil where the digits are not the algorithm's.
        init?(_ alg: Algorithm, _ content: some StringProtocol) {
            let digits: [Algorithm: Int] = [.sha1: 40, .sha256: 64, .sha384: 96, .sha512: 128]
            guard content.utf8.count == digits[alg], Identifier.isHex(content) else { return nil }
            self.alg = alg
            self.content = String(content)
        }
    }

    /// An expression of SPDX, alone in its list, or a licence by name.
    enum License: Encodable, Sendable, Equatable {
        case expression(String)
        case named(String)

        private enum Key: String, CodingKey { case expression, license }
        private struct Name: Encodable { var name: String }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            switch self {
            case .expression(let text): try container.encode(text, forKey: .expression)
            case .named(let name): try container.encode(Name(name: name), forKey: .license)
            }
        }
    }

    struct Reference: Encodable, Sendable, Equatable {
        var type = "distribution"
        var url: String
        var comment: String?
        var hashes: [Hash]?
    }

    struct Property: Encodable, Sendable, Equatable {
        var name: String
        var value: String
    }

    struct Dependency: Encodable, Sendable {
        var ref: String
        var dependsOn: [String]
    }

    /// How much of something is told.
    struct Composition: Encodable, Sendable {
        /// `complete`, `incomplete` or `unknown`.
        var aggregate: String
        var assemblies: [String]
    }
}
