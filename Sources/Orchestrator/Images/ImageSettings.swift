import MachineAPI

/// Where images are kept and what they are made from.
public struct ImageSettings: Sendable {
    /// From here on a person is told that an image is large.
    static let largeImage = 250 << 20

    /// The orchestrator's part of the state directory (absolute).
    public var state: String
    /// Base and builder trees, made once per host and shared by every state directory; root, 0700. Removing it hurts nobody.
    public var cache: String
    public var index: IndexConfiguration
    /// The npm registry that an operator chose; nil for npm's own default.
    public var npmRegistry: IndexConfiguration?
    /// The certificates of this host, with which build machines check the package index.
    public var caBundle: String
    /// What an image may weigh unpacked.
    public var limits: TreeLimits
    /// Bytes that must be free on the state's disk before anything is built.
    public var room: Int
    /// When a release is asked about before it is built.
    var releases: ReleaseRules
    /// What a build machine may write that leaves an image behind: caches and archives beside it.
    var workBytes: Int { max(2 << 30, 2 * limits.bytes) }

    public init(
        state: String, cache: String = "/var/cache/berth", index: IndexConfiguration = .pypi,
        npmRegistry: IndexConfiguration? = nil,
        caBundle: String = "/etc/ssl/certs/ca-certificates.crt", limits: TreeLimits = TreeLimits(), room: Int = BuildRoom.standard,
        releaseAge: Int = 72 * 3_600, knownServers: KnownServers? = nil
    ) {
        releases = ReleaseRules(age: releaseAge, known: knownServers ?? .standard)
        self.state = state
        self.cache = cache
        self.index = index
        self.npmRegistry = npmRegistry
        self.caBundle = caBundle
        self.limits = limits
        self.room = room
    }
}

/// The package index that builds use, and with it the only hosts that a build machine reaches.
public struct IndexConfiguration: Sendable, Equatable {
    /// The public index.
    public static let pypi = IndexConfiguration(url: "https://pypi.org/simple", egress: ["pypi.org:443", "files.pythonhosted.org:443"])

    /// Base of the simple API, without a slash at its end.
    public let url: String
    /// `host:port` pairs; only these may resolve to private addresses.
    public let egress: [String]

    private init(url: String, egress: [String]) {
        self.url = url
        self.egress = egress
    }

    /// - Parameters:
    ///   - url: base of a simple API, `https://host[:port]/path` (or `http`, for an index on this host or network).
    ///   - fileHosts: further `host` or `host:port` from which the index hands out files.
    public init(url: String, fileHosts: [String] = []) throws(ImageBuildFailure) {
        let isTLS = url.hasPrefix("https://")
        guard isTLS || url.hasPrefix("http://") else { throw Self.refusal(url, "it starts with neither https:// nor http://") }
        let rest = url.dropFirst(isTLS ? 8 : 7)
        let authority = rest.prefix { $0 != "/" }
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }) else {
            throw Self.refusal(url, "it holds a character that an index address cannot hold")
        }
        // The address goes to build machines, which run foreign code: nothing secret may be in it.
        guard !authority.contains("@") else { throw Self.refusal(url, "it holds a user name or password") }
        let defaultPort = isTLS ? 443 : 80
        var egress: [String] = []
        for host in [String(authority)] + fileHosts {
            guard let pair = Self.destination(host, defaultPort: defaultPort) else { throw Self.refusal(url, "\(host) is no host") }
            if !egress.contains(pair) { egress.append(pair) }
        }
        var base = url
        while base.hasSuffix("/") { base.removeLast() }
        self.init(url: base, egress: egress)
    }

    private static func destination(_ text: String, defaultPort: Int) -> String? {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = parts.first, !host.isEmpty else { return nil }
        let allowed = host.utf8.allSatisfy { byte in
            byte.isASCIILetterOrDigit || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
        }
        guard allowed else { return nil }
        guard parts.count == 2 else { return "\(host.lowercased()):\(defaultPort)" }
        guard let port = Int(parts[1]), (1...65535).contains(port) else { return nil }
        return "\(host.lowercased()):\(port)"
    }

    private static func refusal(_ url: String, _ reason: String) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "bad_index", message: "\(url) cannot be the package index: \(reason).",
            hint: "Give the address of a simple API, such as https://pypi.org/simple.")
    }
}

extension UInt8 {
    var isASCIILetterOrDigit: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}
