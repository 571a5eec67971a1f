public import JSONText
public import Standalone

/// What to test, and how.
public struct CheckSettings: Sendable {
    public var server: StandaloneServer
    /// The environment without what the author gave: what a server has before anybody has given it credentials. nil: he gave nothing.
    public var bareEnvironment: [String]?
    /// How long each step may take.
    public var seconds: Int
    /// A call that may be made, and broken off.
    public var call: SafeCall?
    public var baseline: ToolBaseline?
    /// The command with which an author runs a bridge himself, for remedies.
    public var bridge: String

    public init(
        server: StandaloneServer, bareEnvironment: [String]? = nil, seconds: Int = 60, call: SafeCall? = nil, baseline: ToolBaseline? = nil,
        bridge: String = "berth bridge"
    ) {
        self.server = server
        self.bareEnvironment = bareEnvironment
        self.seconds = seconds
        self.call = call
        self.baseline = baseline
        self.bridge = bridge
    }
}

/// A tool call without consequences.
public struct SafeCall: Sendable, Equatable {
    public var tool: String
    public var arguments: JSONObject

    public init(tool: String, arguments: JSONObject = JSONObject()) {
        self.tool = tool
        self.arguments = arguments
    }

    /// `TOOL` or `TOOL={json}`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard !parts[0].isEmpty else { return nil }
        guard parts.count == 2 else {
            self.init(tool: parts[0])
            return
        }
        guard let arguments = (try? JSONValue(parsing: parts[1]))?.objectValue else { return nil }
        self.init(tool: parts[0], arguments: arguments)
    }

    /// The first tool that says that it changes nothing, and needs no arguments.
    static func among(_ tools: [JSONValue]) -> SafeCall? {
        let harmless = tools.first { tool in
            tool["annotations"]?["readOnlyHint"]?.boolValue == true && tool["inputSchema"]?["required"]?.arrayValue?.isEmpty != false
        }
        return harmless?["name"]?.stringValue.map { SafeCall(tool: $0) }
    }

    var params: JSONObject { ["name": .string(tool), "arguments": .object(arguments)] }
}
