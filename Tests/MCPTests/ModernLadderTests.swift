import JSONText
import NIOCore
import TestSupport
import Testing

@testable import MCP

/// One row per condition of the error ladder; each runs with an integer and a string id.
struct LadderRow: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var status: Int
    var code: Int
    var echoesID = true
    var method = "tools/call"
    var params = #""name":"t""#
    var meta = FrontBench.meta
    var name: String? = "t"
    var change: @Sendable (inout FrontRequest) -> Void = { _ in }

    static let noCapabilities = #"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#
    static let future = #"{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}"#

    static let all: [LadderRow] = [
        LadderRow(testDescription: "not JSON", status: 400, code: -32700, echoesID: false) { $0.body = ByteBuffer(string: "{nope") },
        LadderRow(testDescription: "empty body", status: 400, code: -32700, echoesID: false) { $0.body = ByteBuffer() },
        LadderRow(testDescription: "batch", status: 400, code: -32600, echoesID: false) { $0.body = ByteBuffer(string: "[\($0.body.text)]") },
        LadderRow(testDescription: "posted response", status: 400, code: -32600) {
            $0.body = ByteBuffer(string: $0.body.text.prefix { $0 != "," } + "," + idMember($0.body.text) + #","result":{}}"#)
        },
        LadderRow(testDescription: "duplicate key", status: 400, code: -32600, params: #""name":"t","name":"u""#),
        LadderRow(testDescription: "no _meta", status: 400, code: -32602, meta: "{}"),
        LadderRow(testDescription: "_meta is no object", status: 400, code: -32602, meta: "7"),
        LadderRow(testDescription: "no capabilities", status: 400, code: -32602, meta: noCapabilities),
        LadderRow(testDescription: "no version header", status: 400, code: -32020) { $0.protocolVersion = nil },
        LadderRow(testDescription: "version header differs", status: 400, code: -32020) { $0.protocolVersion = "2099-01-01" },
        LadderRow(testDescription: "legacy version header with a session", status: 400, code: -32020) {
            $0.protocolVersion = "2025-11-25"
            $0.sessionID = "s"
        },
        LadderRow(testDescription: "no Mcp-Method", status: 400, code: -32020) { $0.mcpMethod = nil },
        LadderRow(testDescription: "Mcp-Method differs in case", status: 400, code: -32020) { $0.mcpMethod = "Tools/Call" },
        LadderRow(testDescription: "no Mcp-Name", status: 400, code: -32020, name: nil),
        LadderRow(testDescription: "Mcp-Name differs", status: 400, code: -32020, name: "u"),
        LadderRow(testDescription: "Mcp-Name is bad base64", status: 400, code: -32020, name: "=?base64?dB?="),
        LadderRow(testDescription: "Mcp-Name is not canonical", status: 400, code: -32020, name: "=?base64?dB==?="),
        LadderRow(testDescription: "unsupported version", status: 400, code: -32022, meta: future) { $0.protocolVersion = "2099-01-01" },
        LadderRow(testDescription: "mismatch comes before unsupported", status: 400, code: -32020, meta: future),
        LadderRow(testDescription: "initialize is gone", status: 404, code: -32601, method: "initialize", name: nil),
        LadderRow(testDescription: "ping is gone", status: 404, code: -32601, method: "ping", name: nil),
        LadderRow(testDescription: "setLevel is gone", status: 404, code: -32601, method: "logging/setLevel", name: nil),
        LadderRow(testDescription: "subscribe is gone", status: 404, code: -32601, method: "resources/subscribe", name: nil),
        LadderRow(testDescription: "unsubscribe is gone", status: 404, code: -32601, method: "resources/unsubscribe", name: nil),
        LadderRow(
            testDescription: "unsupported version comes before unknown method", status: 400, code: -32022, method: "ping", meta: future, name: nil
        ) {
            $0.protocolVersion = "2099-01-01"
        },
        LadderRow(testDescription: "tool without a name", status: 400, code: -32602, params: "", name: nil),
        LadderRow(testDescription: "tool's name is no string", status: 400, code: -32602, params: #""name":7"#, name: nil),
        LadderRow(testDescription: "resource without a uri", status: 400, code: -32602, method: "resources/read", params: "", name: nil),
        LadderRow(testDescription: "not acceptable", status: 406, code: -32600, echoesID: false) { $0.accept = "application/json" },
        LadderRow(testDescription: "no Accept", status: 406, code: -32600, echoesID: false) { $0.accept = nil },
        LadderRow(testDescription: "media type", status: 415, code: -32600, echoesID: false) { $0.contentType = "text/plain" },
    ]

    private static func idMember(_ body: String) -> Substring {
        let members = body.split(separator: ",")
        return members.first { $0.hasPrefix("\"id\"") } ?? ""
    }
}

@Suite struct ModernLadderTests {
    @Test(arguments: LadderRow.all, ["7", "\"seven\""]) func refuses(row: LadderRow, id: String) throws {
        let bench = FrontBench()
        let exchange = bench.modern(row.method, id: id, params: row.params, meta: row.meta, name: row.name, change: row.change)
        #expect(exchange.status == row.status)
        #expect(exchange.errorCode == row.code, "\(exchange.body ?? "no body")")
        #expect(exchange.json?["id"]?.text == (row.echoesID ? id : "null"))
        #expect(exchange.header("Content-Type") == "application/json")
        #expect(bench.service.calls.isEmpty && !exchange.isOpen)
    }

    @Test func namesTheVersionsItSpeaks() {
        let exchange = FrontBench().modern("tools/list", meta: LadderRow.future) { $0.protocolVersion = "2099-01-01" }
        #expect(exchange.json?["error"]?["data"]?.text == #"{"supported":["2026-07-28"],"requested":"2099-01-01"}"#)
    }

    /// Old proxies leave a header out: whoever looks for the fault is told which.
    @Test(.tags(.failure28), arguments: ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"]) func namesTheHeaderThatIsMissing(header: String) {
        let exchange = FrontBench().modern("tools/call", params: #""name":"t""#, name: header == "Mcp-Name" ? nil : "t") {
            if header == "Mcp-Method" { $0.mcpMethod = nil }
            if header == "MCP-Protocol-Version" { $0.protocolVersion = nil }
        }
        #expect(exchange.json?["error"]?["message"]?.stringValue == "Header mismatch: \(header) is missing")
    }

    @Test(.tags(.failure26), arguments: [(405, FrontRequest.Verb.get), (405, .delete), (405, .other)])
    func onlyPosts(status: Int, verb: FrontRequest.Verb) {
        var request = FrontRequest(verb: verb)
        request.protocolVersion = "2026-07-28"
        request.accept = "*/*"
        let exchange = FrontBench().send(request)
        #expect(exchange.status == status && exchange.header("Allow") == "POST")
    }

    @Test(arguments: [("t", "t"), ("=?base64?dA==?=", "t"), ("=?base64?w6k=?=", "é"), ("=?base64??=", "")]) func acceptsNames(
        header: String, name: String
    ) {
        let bench = FrontBench()
        _ = bench.modern("tools/call", params: #""name":"\#(name)""#, name: header)
        #expect(bench.service.calls.count == 1)
    }

    @Test func acknowledgesNotificationsAndDropsThem() {
        let bench = FrontBench()
        let exchange = bench.modern("x") {
            $0.body = ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#)
        }
        #expect(exchange.status == 202 && exchange.body == nil && bench.service.calls.isEmpty)
    }

    @Test(.tags(.failure25)) func ignoresSessionsAndResumption() {
        let bench = FrontBench()
        _ = bench.modern("tools/list") {
            $0.sessionID = "gone"
            $0.lastEventID = "7"
        }
        #expect(bench.service.calls.count == 1)
    }
}

@Suite struct EraRoutingTests {
    struct Row: Sendable {
        var header: String?
        var session: String?
        var body: String?
        var expected: EraRouting.Route
        var strict: EraRouting.Route?
    }

    @Test(arguments: [
        Row(header: nil, session: nil, body: nil, expected: .legacy), Row(header: "2025-11-25", session: "s", body: nil, expected: .legacy),
        Row(header: "2024-11-05", session: nil, body: nil, expected: .legacy), Row(header: "2026-07-28", session: nil, body: nil, expected: .modern),
        Row(header: "2030-01-01", session: nil, body: nil, expected: .modern), Row(header: "", session: nil, body: nil, expected: .modern),
        Row(header: nil, session: nil, body: "2026-07-28", expected: .modern), Row(header: nil, session: "s", body: "2026-07-28", expected: .modern),
        Row(header: "2026-07-28", session: "s", body: "2026-07-28", expected: .modern),
        Row(header: "2025-11-25", session: nil, body: "2026-07-28", expected: .modernTolerated, strict: .modern),
        Row(header: "2025-11-25", session: "s", body: "2026-07-28", expected: .modern),
        Row(header: "2025-11-25", session: nil, body: "2025-11-25", expected: .modern),
    ]) func routes(row: Row) {
        var envelope = Envelope()
        envelope.protocolVersion = row.body
        #expect(EraRouting.route(header: row.header, sessionID: row.session, envelope: envelope, tolerant: true) == row.expected)
        #expect(EraRouting.route(header: row.header, sessionID: row.session, envelope: envelope, tolerant: false) == row.strict ?? row.expected)
    }

    @Test func toleratesTheClientThatSendsALegacyHeader() {
        let bench = FrontBench()
        let exchange = bench.modern("tools/call", params: #""name":"t""#) {
            $0.protocolVersion = "2025-11-25"
            $0.mcpMethod = nil
        }
        #expect(exchange.status == nil && bench.service.calls.count == 1 && bench.front.toleratedHeaders == 1)
        let differing = bench.modern("tools/call", params: #""name":"t""#, name: "other") { $0.protocolVersion = "2025-11-25" }
        #expect(differing.errorCode == -32020)
        let strict = FrontBench(FrontSettings(toleratesLegacyHeader: false)).modern("tools/list") { $0.protocolVersion = "2025-11-25" }
        #expect(strict.errorCode == -32020)
    }
}
