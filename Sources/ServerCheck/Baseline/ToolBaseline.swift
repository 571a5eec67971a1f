public import JSONText

/// A list of tools that was looked at once, to be told of every change: a client's user agreed to these, and to no others.
public struct ToolBaseline: Sendable, Equatable {
    static let id = "tools.baseline"

    /// By name.
    public var tools: [JSONValue]

    public init(tools: [JSONValue]) {
        self.tools = tools.sorted { Self.name($0) < Self.name($1) }
    }

    /// - Returns: Nil for what is no baseline.
    public init?(parsing bytes: [UInt8]) {
        guard let value = try? JSONValue(parsing: bytes), let tools = value["tools"]?.arrayValue else { return nil }
        self.init(tools: tools)
    }

    /// The file's text: a line for each value, for whoever reads its changes.
    public var text: String { PrettyJSON.text(.record(("tools", .array(tools)))) + "\n" }

    /// What has changed since.
    public func differences(to now: [JSONValue]) -> [Finding] {
        let (old, new) = (byName(tools), byName(now))
        let known = Dictionary(old, uniquingKeysWith: { first, _ in first })
        let current = Dictionary(new, uniquingKeysWith: { first, _ in first })
        var all: [Finding] = []
        func add(_ text: String, _ tool: String, _ pointer: String? = nil) {
            all.append(Finding(Self.id, .failure, text, remedy: Self.remedy, tool: tool, pointer: pointer))
        }
        for (name, tool) in old {
            guard let other = current[name] else {
                add("it is in the baseline and no longer in the list", name)
                continue
            }
            for difference in JSONDifference.between(tool, other) {
                let (before, after) = (difference.before.map(Self.shown), difference.after.map(Self.shown))
                switch (before, after) {
                case (let before?, let after?): add("\(before) has become \(after)", name, difference.pointer)
                case (let before?, nil): add("\(before) is gone", name, difference.pointer)
                case (nil, let after?): add("\(after) is new", name, difference.pointer)
                case (nil, nil): break
                }
            }
        }
        for (name, _) in new where known[name] == nil { add("it is not in the baseline", name) }
        return all
    }

    private static let remedy = "if you meant it, run again with --write-baseline and commit the file"

    private func byName(_ tools: [JSONValue]) -> [(String, JSONValue)] { tools.map { (Self.name($0), $0) } }
    private static func name(_ tool: JSONValue) -> String { tool["name"]?.stringValue ?? "" }

    private static func shown(_ value: JSONValue) -> String {
        Excerpt.of(value.text, 160)
    }
}

/// JSON over several lines.
enum PrettyJSON {
    static func text(_ value: JSONValue, indent: String = "") -> String {
        let inner = indent + "  "
        switch value {
        case .array(let values) where !values.isEmpty:
            return "[\n" + values.map { inner + text($0, indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let object) where !object.isEmpty:
            let members = object.members.map { "\(inner)\(JSONValue.string($0.key).text): \(text($0.value, indent: inner))" }
            return "{\n" + members.joined(separator: ",\n") + "\n\(indent)}"
        default: return value.text
        }
    }
}
