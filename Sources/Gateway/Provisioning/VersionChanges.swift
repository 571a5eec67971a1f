import JSONText
import MachineAPI
import Sealing

/// What a new version of a connector differs in from the one that serves.
public struct VersionChanges: Sendable, Equatable {
    /// A package in another version; nil before: it is new, nil after: it is gone.
    public struct Package: Sendable, Equatable {
        public var name: String
        public var before: String?
        public var after: String?
    }

    /// A tool, and where it differs; no place where it is new or gone.
    public struct Tool: Sendable, Equatable {
        enum Kind: String, Sendable { case added, removed, changed }

        var kind: Kind
        public var name: String
        public var differences: [JSONDifference] = []
        /// A new one, as the server lists it.
        var whole: JSONValue?
    }

    public var connector: String
    /// The one that serves.
    public var version: Int
    /// Of the one that serves.
    public var imageBefore: String?
    /// Of the new one.
    public var image: String
    /// Whether the new one is the image that serves.
    public var isSame = false
    public var packages: [Package] = []
    /// nil where they are not known; ``reason`` says why.
    public var tools: [Tool]?
    public var reason: String?
    /// With the reason: the end of what the server wrote to its standard error.
    public var stderr: String?
    /// What an admin agrees to with the tools.
    public var toolsDigest: String?

    // MARK: Comparing

    /// - Parameters: `name==version` of PyPI's, `name@version` of npm's and of images.
    static func packages(_ before: [String], _ after: [String]) -> [Package] {
        let (old, new) = (versions(before), versions(after))
        return Set(old.keys).union(new.keys).sorted().compactMap { name in
            // An npm package may be there in several versions.
            let (left, right) = (old[name]?.joined(separator: ", "), new[name]?.joined(separator: ", "))
            return left == right ? nil : Package(name: name, before: left, after: right)
        }
    }

    private static func versions(_ packages: [String]) -> [String: [String]] {
        var versions: [String: [String]] = [:]
        for text in packages {
            let end = text.firstRange(of: "==") ?? text.dropFirst().lastIndex(of: "@").map { $0..<text.index(after: $0) }
            let (name, version) = end.map { (String(text[..<$0.lowerBound]), String(text[$0.upperBound...])) } ?? (text, "")
            versions[name, default: []].append(version)
        }
        return versions.mapValues { $0.sorted() }
    }

    /// - Parameters: arrays of tools, as servers list them.
    static func tools(_ before: [JSONValue], _ after: [JSONValue]) -> [Tool] {
        let (old, new) = (byName(before), byName(after))
        return Set(old.keys).union(new.keys).sorted().compactMap { name in
            switch (old[name], new[name]) {
            case (let left?, let right?):
                let differences = JSONDifference.between(left, right)
                return differences.isEmpty ? nil : Tool(kind: .changed, name: name, differences: differences)
            case (_?, nil): return Tool(kind: .removed, name: name)
            case (nil, let tool): return Tool(kind: .added, name: name, whole: tool)
            }
        }
    }

    /// What tells one list of tools from another; their order and that of their members do not count.
    static func digest(_ tools: [JSONValue]) throws -> String {
        let named = byName(tools).sorted { $0.key < $1.key }
        return try SHA256.hex(named.map { "\($0.key)\n\(canonical($0.value))\n" }.joined())
    }

    /// The first of each name, as calls are routed.
    private static func byName(_ tools: [JSONValue]) -> [String: JSONValue] {
        Dictionary(tools.map { ($0["name"]?.stringValue ?? "", $0) }, uniquingKeysWith: { first, _ in first })
    }

    private static func canonical(_ value: JSONValue) -> String {
        switch value {
        case .object(let object):
            "{" + object.members.sorted { $0.key < $1.key }.map { JSONValue.string($0.key).text + ":" + canonical($0.value) }.joined(separator: ",") + "}"
        case .array(let values): "[" + values.map(canonical).joined(separator: ",") + "]"
        default: value.text
        }
    }

    // MARK: Telling

    var json: JSONValue {
        .record(
            ("event", "changes"), ("name", .string(connector)), ("version", .int(version)), ("image_before", imageBefore.map { .string($0) }),
            ("image", .string(image)), ("same", .bool(isSame)), ("packages", .array(packages.map(Self.json))),
            ("tools", tools.map { .array($0.map(Self.json)) }), ("reason", reason.map { .string($0) }), ("stderr", stderr.map { .string($0) }),
            ("tools_digest", toolsDigest.map { .string($0) }))
    }

    private static func json(_ package: Package) -> JSONValue {
        .record(("name", .string(package.name)), ("before", package.before.map { .string($0) }), ("after", package.after.map { .string($0) }))
    }

    private static func json(_ tool: Tool) -> JSONValue {
        .record(
            ("name", .string(tool.name)), ("change", .string(tool.kind.rawValue)), ("tool", tool.whole),
            ("differences", tool.differences.isEmpty ? nil : .array(tool.differences.map { difference in
                .record(("pointer", .string(difference.pointer)), ("before", difference.before), ("after", difference.after))
            })))
    }
}
