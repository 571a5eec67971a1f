import JSONText
public import NIOCore

/// What a tool's input schema says with `x-mcp-header` (2026-07-28, Transports): which arguments a client repeats in `Mcp-Param-…`.
public struct ParameterHeaders: Sendable, Equatable {
    private struct Rule: Equatable {
        /// The whole field name, lower case.
        var header: String
        /// Where the argument stands, from `arguments` on.
        var path: [String]
    }

    private static let keyword = "x-mcp-header"
    private static let prefix = "mcp-param-"

    private var rules: [Rule] = []

    /// The tools of a list that say so, by name. A tool whose schema misuses the keyword has none: clients drop it.
    ///
    /// - Parameter result: of `tools/list`.
    public static func byTool(_ result: ByteBuffer) -> [String: ParameterHeaders] {
        guard RequestState.mayContain(result, keyword), let list = try? JSONValue(parsing: result.readableBytesSpan) else { return [:] }
        var found: [String: ParameterHeaders] = [:]
        for tool in list["tools"]?.arrayValue ?? [] {
            guard let name = tool["name"]?.stringValue, let schema = tool["inputSchema"], let headers = ParameterHeaders(schema: schema) else { continue }
            found[name] = headers
        }
        return found
    }

    /// A list without the tools whose schema misuses the keyword: a client over HTTP must not offer them.
    ///
    /// - Parameter result: of `tools/list`.
    /// - Returns: The same text where there is none; and the names of those that were left out.
    public static func withoutMisuse(_ result: ByteBuffer) -> (result: ByteBuffer, leftOut: [String]) {
        guard RequestState.mayContain(result, keyword), var list = (try? JSONValue(parsing: result.readableBytesSpan))?.objectValue,
            let tools = list["tools"]?.arrayValue
        else { return (result, []) }
        let (good, bad) = tools.reduce(into: ([JSONValue](), [String]())) { parts, tool in
            if isMisused(tool["inputSchema"] ?? .null) { parts.1.append(tool["name"]?.stringValue ?? "") } else { parts.0.append(tool) }
        }
        guard !bad.isEmpty else { return (result, []) }
        list["tools"] = .array(good)
        return (JSONValue.object(list).buffer, bad)
    }

    /// - Returns: Nil where the keyword is misused; no rules without it.
    private init?(of schema: JSONValue) {
        guard collect(schema, path: []), Set(rules.map(\.header)).count == rules.count else { return nil }
    }

    private static func isMisused(_ schema: JSONValue) -> Bool { ParameterHeaders(of: schema) == nil }

    /// - Returns: Nil without the keyword, or where it is misused.
    init?(schema: JSONValue) {
        guard let found = ParameterHeaders(of: schema), !found.rules.isEmpty else { return nil }
        self = found
    }

    /// Only properties that are reached by `properties` alone may have it, and only such as one header value can hold.
    private mutating func collect(_ schema: JSONValue, path: [String]) -> Bool {
        for (name, part) in schema.objectValue?.members ?? [] where name != "properties" && !Self.values.contains(name) {
            // A property that has it was looked at by whoever came here; anywhere else it is out of place.
            guard name != Self.keyword || !path.isEmpty, !Self.hasKeyword(part) else { return false }
        }
        for (name, property) in schema["properties"]?.objectValue?.members ?? [] {
            if let keyword = property[Self.keyword] {
                guard let word = keyword.stringValue, !word.isEmpty, word.utf8.allSatisfy(Self.isToken),
                    ["string", "integer", "boolean"].contains(property["type"]?.stringValue)
                else { return false }
                rules.append(Rule(header: Self.prefix + word.lowercased(), path: path + [name]))
            }
            guard collect(property, path: path + [name]) else { return false }
        }
        return true
    }

    /// What holds values and no schemas.
    private static let values: Set = ["const", "default", "enum", "example", "examples"]

    /// Whether a schema that is reached by something else than `properties` has the keyword.
    private static func hasKeyword(_ part: JSONValue) -> Bool {
        switch part {
        case .array(let parts): parts.contains(where: hasKeyword)
        case .object(let members): members.members.contains { name, value in name == keyword || !values.contains(name) && hasKeyword(value) }
        default: false
        }
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// What a request's headers say otherwise than its arguments; nil when nothing.
    ///
    /// - Parameters:
    ///   - arguments: JSON object text.
    ///   - header: every value of the header of that name.
    func mismatch(_ arguments: ByteBuffer?, header: (String) -> [String]) -> String? {
        for rule in rules {
            let values = header(rule.header)
            let argument = arguments.flatMap { Self.value(rule.path, in: $0) }
            guard let argument else {
                if values.isEmpty { continue }
                return "\(rule.header) has no argument"
            }
            guard let first = values.first else { return "\(rule.header) is missing" }
            guard values.allSatisfy({ $0 == first }), let decoded = HeaderValue.decode(first), decoded == argument else {
                return "\(rule.header) differs from the argument"
            }
        }
        return nil
    }

    /// What a client repeats in headers for these arguments.
    public func headers(for arguments: ByteBuffer?) -> [(String, String)] {
        rules.compactMap { rule in
            arguments.flatMap { Self.value(rule.path, in: $0) }.map { (rule.header, HeaderValue.encode($0)) }
        }
    }

    /// The text that a header must have for an argument; nil when it is absent or null.
    private static func value(_ path: [String], in arguments: ByteBuffer) -> String? {
        let text = arguments.readableBytesSpan
        var span = JSONSpan(start: 0, end: arguments.readableBytes)
        for name in path {
            guard text.byte(span) == UInt8(ascii: "{") else { return nil }
            var members = JSONMembers(of: span)
            var next: JSONSpan?
            while let member = try? members.next(in: text) {
                if member.keyString(in: text) == name { next = member.value }
            }
            guard let next else { return nil }
            span = next
        }
        switch text.byte(span) {
        case UInt8(ascii: "\""): return JSONString.unquote(span, in: text)
        case UInt8(ascii: "n"): return nil
        default: return String(decoding: text.copy(span), as: UTF8.self)
        }
    }
}
