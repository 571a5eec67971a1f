import Foundation
import TestSupport
import Testing

/// One MCP call over raw HTTP in the modern dialect, by curl-like means: no SDK between the test and the wire.
struct RawClient: Sendable {
    let url: String
    let token: String?
    var host: String?
    var origin: String?

    struct Answer: Sendable {
        var status: Int
        var headers: [String: String]
        var body: Data
        var json: [String: Any] { (try? JSONSerialization.jsonObject(with: body) as? [String: Any]) ?? [:] }
        /// Text of the first content block.
        var text: String? { (((json["result"] as? [String: Any])?["content"] as? [[String: Any]])?.first)?["text"] as? String }
    }

    func call(_ tool: String, _ arguments: [String: Any] = [:], seconds: Double = 90) async throws -> Answer {
        try await send("tools/call", ["name": tool, "arguments": arguments], name: tool, seconds: seconds)
    }

    func send(_ method: String, _ params: [String: Any] = [:], name: String? = nil, seconds: Double = 90) async throws -> Answer {
        var params = params
        params["_meta"] = [
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": [:],
            "io.modelcontextprotocol/clientInfo": ["name": "test", "version": "1"],
        ]
        let body = try JSONSerialization.data(withJSONObject: ["jsonrpc": "2.0", "id": 7, "method": method, "params": params])
        var fields = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: \(method)", "Accept: application/json, text/event-stream"]
        if let name { fields.append("Mcp-Name: \(name)") }
        return try await post(body, fields, seconds: seconds)
    }

    func post(_ body: Data, _ fields: [String], seconds: Double = 90) async throws -> Answer {
        var fields = fields + ["Content-Type: application/json"]
        if let token { fields.append("Authorization: Bearer \(token)") }
        if let host { fields.append("Host: \(host)") }
        if let origin { fields.append("Origin: \(origin)") }
        // The token goes through curl's configuration on standard input, as it would not go through an argv.
        var lines = ["url = \"\(url)\"", "request = POST", "silent", "include", "max-time = \(Int(seconds))", "data-binary = \"@-\""]
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("berth-body-\(UUID().uuidString)")
        try body.write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        lines[5] = "data-binary = \"@\(file.path)\""
        lines += fields.map { "header = \"\($0)\"" }
        let result = try await Command.run(["/usr/bin/curl", "--config", "-"], input: lines.joined(separator: "\n"), seconds: seconds + 5)
        guard let split = result.output.range(of: "\r\n\r\n") else { throw Trouble("no answer: curl \(result.status) \(result.errors)") }
        let head = result.output[..<split.lowerBound].split(separator: "\r\n").map(String.init)
        var headers: [String: String] = [:]
        for line in head.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        var data = Data(result.output[split.upperBound...].utf8)
        if headers["content-type"]?.hasPrefix("text/event-stream") == true {
            let last = String(decoding: data, as: UTF8.self).split(separator: "\n").last { $0.hasPrefix("data:") && $0.contains("\"id\":7") }
            data = Data((last.map { String($0.dropFirst(5)) } ?? "").utf8)
        }
        return Answer(status: Int(head[0].split(separator: " ")[1]) ?? 0, headers: headers, body: data)
    }
}

/// A session of 2025-11-25 over raw HTTP.
struct LegacySession {
    let client: RawClient
    private let fields: [String]

    static func open(_ client: RawClient) async throws -> LegacySession {
        let accept = "Accept: application/json, text/event-stream"
        let hello =
            #"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"#
            + #""clientInfo":{"name":"test","version":"1"}}}"#
        let answer = try await client.post(Data(hello.utf8), [accept])
        let id = try #require(answer.headers["mcp-session-id"], "\(answer.status) \(answer.json)")
        let session = LegacySession(client: client, fields: [accept, "Mcp-Session-Id: \(id)", "MCP-Protocol-Version: 2025-11-25"])
        let told = try await client.post(Data(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.utf8), session.fields)
        #expect(told.status == 202)
        return session
    }

    func send(_ method: String, _ params: [String: Any] = [:]) async throws -> RawClient.Answer {
        let body = try JSONSerialization.data(withJSONObject: ["jsonrpc": "2.0", "id": 7, "method": method, "params": params])
        return try await client.post(body, fields)
    }

    func end() async throws {
        let result = try await Command.run(
            ["/usr/bin/curl", "--silent", "-o", "/dev/null", "-w", "%{http_code}", "-X", "DELETE", client.url] + fields.flatMap { ["-H", $0] })
        #expect(result.output.hasPrefix("20"), "\(result)")
    }
}
