import JSONText
import NIOCore
import Testing

@testable import MCP

/// Arguments that clients repeat in `Mcp-Param-…`.
struct ParameterHeadersTests {
    private static let schema = """
        {"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"limit":{"type":"integer","x-mcp-header":"Limit"},\
        "deep":{"type":"object","properties":{"dry":{"type":"boolean","x-mcp-header":"Dry-Run"}}},"other":{"type":"string"}}}
        """

    private static func tools(_ schema: String) -> ByteBuffer {
        ByteBuffer(string: #"{"tools":[{"name":"plain","inputSchema":{"type":"object"}},{"name":"t","inputSchema":\#(schema)}]}"#)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var arguments: String
        var headers: [String: [String]]
        var isRight: Bool
        var testDescription: String { "\(arguments) \(headers)" }

        init(_ arguments: String, _ headers: [String: [String]], _ isRight: Bool) {
            (self.arguments, self.headers, self.isRight) = (arguments, headers, isRight)
        }
    }

    @Test(arguments: [
        Case(#"{"region":"eu","limit":5}"#, ["mcp-param-region": ["eu"], "mcp-param-limit": ["5"]], true),
        Case(#"{"region":"eu"}"#, ["mcp-param-region": ["eu", "eu"]], true),
        Case(#"{"region":"Zürich"}"#, ["mcp-param-region": ["=?base64?WsO8cmljaA==?="]], true),
        Case(#"{"region":"\u0065u"}"#, ["mcp-param-region": ["eu"]], true),
        Case(#"{"region":null,"other":"x"}"#, [:], true),
        Case("{}", [:], true),
        Case(#"{"deep":{"dry":true}}"#, ["mcp-param-dry-run": ["true"]], true),
        Case(#"{"deep":{}}"#, [:], true),
        Case(#"{"region":"eu"}"#, [:], false),
        Case(#"{"region":"eu"}"#, ["mcp-param-region": ["us"]], false),
        Case(#"{"region":"eu"}"#, ["mcp-param-region": ["EU"]], false),
        Case(#"{"region":"eu"}"#, ["mcp-param-region": ["eu", "us"]], false),
        Case(#"{"limit":5}"#, ["mcp-param-limit": ["6"]], false),
        Case("{}", ["mcp-param-region": ["eu"]], false),
        Case(#"{"region":"Hello"}"#, ["mcp-param-region": ["=?base64?SGVsbG8?="]], false),
        Case(#"{"region":"Hello"}"#, ["mcp-param-region": ["=?base64?SGVs!!!bG8=?="]], false),
        Case(#"{"deep":{"dry":true}}"#, ["mcp-param-dry-run": ["false"]], false),
    ]) func areCompared(_ it: Case) {
        let bench = FrontBench()
        bench.host.parameterHeaders = ParameterHeaders.byTool(Self.tools(Self.schema))
        let exchange = bench.modern("tools/call", params: #""name":"t","arguments":\#(it.arguments)"#, name: "t") { request in
            request.headers = { it.headers[$0] ?? [] }
        }
        #expect(bench.service.calls.count == (it.isRight ? 1 : 0))
        #expect(it.isRight || exchange.status == 400 && exchange.errorCode == -32020)
    }

    @Test(arguments: [
        #"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#, #"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
        #"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#, #"{"properties":{"a":{"type":"string","x-mcp-header":5}}}"#,
        #"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
        #"{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}"#, #"{"properties":{"a":{"type":"string","x-mcp-header":"A\r\nX"}}}"#,
        #"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#, #"{"type":"object","x-mcp-header":"A"}"#,
        #"{"properties":{"l":{"type":"array","items":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}}}"#,
        ##"{"$defs":{"d":{"type":"string","x-mcp-header":"A"}},"properties":{"a":{"$ref":"#/$defs/d"}}}"##,
    ]) func whatMisusesThemHasNoneAndIsLeftOut(schema: String) throws {
        #expect(ParameterHeaders.byTool(Self.tools(schema)).isEmpty)
        let (list, leftOut) = ParameterHeaders.withoutMisuse(Self.tools(schema))
        let names = try JSONValue(parsing: list.readableBytesSpan)["tools"]?.arrayValue?.map { $0["name"] }
        #expect(leftOut == ["t"] && names == ["plain"])
    }

    /// Properties may have the keyword's name, and values may be anything.
    @Test(arguments: [
        schema, #"{"type":"object"}"#, "true", #"{"properties":{"x-mcp-header":{"type":"string"}}}"#,
        #"{"properties":{"a":{"type":"object","default":{"x-mcp-header":"A"}}}}"#,
    ]) func whatDoesNotStaysAsItIs(schema: String) {
        let list = Self.tools(schema)
        let kept = ParameterHeaders.withoutMisuse(list)
        #expect(kept.leftOut.isEmpty && kept.result == list)
    }

    @Test func aListWithoutThemIsNotRead() {
        #expect(ParameterHeaders.byTool(ByteBuffer(string: "not even JSON")).isEmpty)
        #expect(ParameterHeaders.byTool(ByteBuffer(string: "x-mcp-header, but no JSON")).isEmpty)
        #expect(ParameterHeaders.byTool(Self.tools(Self.schema)).keys.sorted() == ["t"])
    }
}
