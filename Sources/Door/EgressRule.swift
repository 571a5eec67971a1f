/// What a machine may reach, by name and port: `api.example.com`, `*.example.com:8443`.
public struct EgressRule: Hashable, Sendable, CustomStringConvertible {
    /// Without the `*.`.
    public let name: String
    /// Every name below `name`, at any depth, and not `name` itself.
    public let coversNamesBelow: Bool
    public let port: Int

    public static let defaultPort = 443

    /// What is wrong with a text, and what to write instead.
    public struct Malformed: Error, Equatable {
        public let message: String
        public let hint: String
    }

    /// Reads `HOST`, `HOST:PORT`, `*.SUFFIX` or `*.SUFFIX:PORT`.
    public init(_ text: String) throws(Malformed) {
        let shown = "'\(text.prefix(80))'"
        if text.contains("/") {
            throw Malformed(message: "\(shown) is an address of the web, not a host", hint: "the host alone, for example api.example.com")
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, !text.contains("[") else { throw Self.literal(shown) }
        var port = Self.defaultPort
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(parts[1]), (1...65_535).contains(number) else {
                throw Malformed(message: "\(shown) names no port", hint: "HOST:PORT with a port of 1 to 65535; without one it is 443")
            }
            guard number != 53 else {
                throw Malformed(message: "\(shown): port 53 is the machine's own name service", hint: "names are resolved for it; leave this out")
            }
            port = number
        }
        var host = parts[0]
        let isSuffix = host.hasPrefix("*.")
        if isSuffix { host = host.dropFirst(2) }
        guard let name = HostName.normal(host) else {
            if !host.isEmpty, host.utf8.allSatisfy({ (48...57).contains($0) || $0 == 46 }) { throw Self.literal(shown) }
            let hint =
                host.contains("*") ? "a * stands for whole names in front: *.example.com"
                : host.utf8.contains { $0 > 127 } ? "write the name as DNS has it, xn--…" : "for example api.example.com or *.example.com:8443"
            throw Malformed(message: "\(shown) is no name of a host", hint: hint)
        }
        if isSuffix && !name.contains(".") {
            throw Malformed(message: "\(shown) covers a whole top-level domain", hint: "name the hosts, or a suffix like *.example.com")
        }
        self.name = name
        self.port = port
        coversNamesBelow = isSuffix
    }

    private static func literal(_ shown: String) -> Malformed {
        Malformed(message: "\(shown) is an address", hint: "only names can be allowed; write the one that the server uses")
    }

    /// - Parameter host: in the form of ``HostName/normal(_:)``.
    public func covers(_ host: String) -> Bool { coversNamesBelow ? host.hasSuffix("." + name) : host == name }

    /// Whether whatever `other` covers is covered.
    public func includes(_ other: EgressRule) -> Bool {
        guard port == other.port else { return false }
        return other.coversNamesBelow ? coversNamesBelow && (other.name == name || covers(other.name)) : covers(other.name)
    }

    public var description: String { "\(coversNamesBelow ? "*." : "")\(name):\(port)" }
}

/// The whole of what a machine may reach; empty for a machine without a network.
public struct EgressList: Sendable, Equatable {
    public let rules: [EgressRule]
    /// Reachable as well, and at private addresses too: an admin's exception for one host each.
    public let privateRules: [EgressRule]

    public static let maximumRules = 64
    /// The agent listens on each in the machine.
    public static let maximumPorts = 16

    /// Why a list is none.
    public struct Malformed: Error, Equatable {
        /// `egress` or `egress_private`.
        public let field: String
        public let message: String
        public let hint: String
    }

    public init(_ texts: [String], privateHosts: [String] = []) throws(Malformed) {
        rules = try Self.read(texts, "egress")
        privateRules = try Self.read(privateHosts, "egress_private")
        if let rule = privateRules.first(where: \.coversNamesBelow) {
            throw Malformed(field: "egress_private", message: "'\(rule)' is not one host", hint: "an exception is made host by host, without a *")
        }
        guard rules.count + privateRules.count <= Self.maximumRules else {
            throw Malformed(field: "egress", message: "more than \(Self.maximumRules) hosts", hint: "a suffix such as *.example.com stands for many")
        }
        guard ports.count <= Self.maximumPorts else {
            throw Malformed(field: "egress", message: "more than \(Self.maximumPorts) ports", hint: "the hosts of a list share few ports")
        }
    }

    private static func read(_ texts: [String], _ field: String) throws(Malformed) -> [EgressRule] {
        var rules: [EgressRule] = []
        for text in texts {
            do {
                rules.append(try EgressRule(text))
            } catch {
                throw Malformed(field: field, message: error.message, hint: error.hint)
            }
        }
        return rules
    }

    public var all: [EgressRule] { rules + privateRules }
    public var isEmpty: Bool { rules.isEmpty && privateRules.isEmpty }
    public var ports: [Int] { Set(all.map(\.port)).sorted() }

    /// - Parameter host: in the form of ``HostName/normal(_:)``.
    public func covers(_ host: String) -> Bool { all.contains { $0.covers(host) } }
    public func covers(_ host: String, port: Int) -> Bool { all.contains { $0.port == port && $0.covers(host) } }
    public func isPrivate(_ host: String, port: Int) -> Bool { privateRules.contains { $0.port == port && $0.covers(host) } }
}
