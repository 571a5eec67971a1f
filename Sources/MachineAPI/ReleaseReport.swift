/// What an index (or a registry) tells of a release that is about to be built for the first time, and what is doubtful about it.
///
/// All of it is somebody else's word, cut and made printable; only the digest and the packages were checked.
public struct ReleaseReport: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable { case pypi, npm, oci }

    /// Why a person is asked.
    public struct Doubt: Codable, Sendable, Equatable {
        public enum Reason: String, Codable, Sendable {
            /// Published less than the limit ago.
            case young
            /// Nobody says when it was published, or what is said cannot be.
            case ageUnknown = "age_unknown"
            /// Spelled almost like a well-known server.
            case resembles
        }

        public var reason: Reason
        /// For people: a clause.
        public var text: String

        public init(_ reason: Reason, _ text: String) {
            self.reason = reason
            self.text = text
        }
    }

    public var kind: Kind
    public var name: String
    /// nil where nobody says it.
    public var version: String?
    /// False where the build itself chooses (a package that has to be built from source): then it is the newest there is.
    public var exact: Bool
    /// When it was published (an image: made), in seconds since 1970; nil where nobody says it.
    public var published_at: Int?
    /// The same as its age in seconds when this was told.
    public var age: Int?
    /// Accounts that may publish it, as the index names them.
    public var publishers: [String]
    /// As the package itself says.
    public var author: String?
    /// How many other packages come with it; nil where that is not known before the build.
    public var dependencies: Int?
    /// Of its own files; of an image its layers, packed.
    public var bytes: Int?
    /// Of an image.
    public var digest: String?
    public var doubts: [Doubt]
    /// What says yes to it, doubts or not.
    public var accept: String

    public init(kind: Kind, name: String, version: String? = nil, exact: Bool = true, doubts: [Doubt] = [], accept: String) {
        (self.kind, self.name, self.version, self.exact, self.doubts, self.accept) = (kind, name, version, exact, doubts, accept)
        publishers = []
    }
}

/// The body of `POST /v1/berth/images`: a source, and beside it `accept`.
public struct ImageBuildRequest: Codable, Sendable {
    public var source: ImageSource
    /// The ``ReleaseReport/accept`` of every release to which somebody has said yes.
    public var accept: [String]

    private enum Key: String, CodingKey { case accept }

    public init(source: ImageSource, accept: [String]) {
        self.source = source
        self.accept = accept
    }

    public init(from decoder: any Decoder) throws {
        source = try ImageSource(from: decoder)
        accept = try decoder.container(keyedBy: Key.self).decodeIfPresent([String].self, forKey: .accept) ?? []
    }

    public func encode(to encoder: any Encoder) throws {
        try source.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        if !accept.isEmpty { try container.encode(accept, forKey: .accept) }
    }
}
