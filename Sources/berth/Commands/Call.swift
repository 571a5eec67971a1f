import ArgumentParser
import Glibc
import JSONText
import MCP
import NIOCore
import Wire

/// `berth call`: one tool call from a terminal, over Streamable HTTP, in the modern dialect.
struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Call one tool of an MCP URL.",
        discussion: "The bearer token comes from --token-file, or from the environment variable BERTH_TOKEN; never from the command line.")
    @Argument(help: "MCP URL, for example http://127.0.0.1:8787/v/office/mcp") var url: String
    @Argument(help: "Name of the tool.") var tool: String
    @Argument(help: "Its arguments, a JSON object.") var arguments = "{}"
    @Option(help: ArgumentHelp("File with the bearer token.", valueName: "file")) var tokenFile: String?
    @OptionGroup var output: JSONOption

    func run() async throws {
        let token: String?
        if let tokenFile {
            guard let bytes = readFile(tokenFile) else {
                throw Failure(
                    "--token-file \(tokenFile) cannot be read", hint: "give a file with the token that berth token create printed", code: 64)
            }
            token = String(decoding: bytes, as: UTF8.self).trimmingCharacters()
        } else {
            token = getenv("BERTH_TOKEN").map { String(cString: $0) }
        }
        guard let parsed = try? JSONValue(parsing: arguments), parsed.objectValue != nil else {
            throw Failure("the arguments are no JSON object", hint: "for example '{\"timezone\":\"UTC\"}'", code: 64)
        }
        let result = try await MCPCall.tool(tool, arguments: parsed, url: url, token: token)
        if output.json {
            Output.json(result)
        } else {
            for block in result["content"]?.arrayValue ?? [] { Output.line(block["text"]?.stringValue ?? block.text) }
        }
        if result["isError"]?.boolValue == true { throw ExitCode(1) }
    }
}

extension String {
    fileprivate func trimmingCharacters() -> String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}

/// The client's half of one `tools/call` in the modern dialect.
enum MCPCall {
    /// - Parameter socket: A gateway's control socket, to be used in place of the URL's host: it serves the same paths whatever the
    ///   public URL and the proxy in front are.
    static func tool(_ name: String, arguments: JSONValue, url: String, token: String?, socket: String? = nil) async throws -> JSONValue {
        try await request(
            "tools/call", .record(("name", .string(name)), ("arguments", arguments)), name: name, url: url, token: token, socket: socket)
    }

    /// - Parameter name: What `Mcp-Name` repeats, where the method has it.
    private static func request(
        _ method: String, _ params: JSONValue, name: String?, url: String, token: String?, socket: String? = nil
    ) async throws -> JSONValue {
        let (endpoint, host, path) = try socket.map { (.unix(path: $0), "localhost", Self.path(of: url)) } ?? split(url)
        let meta: JSONValue = .record(
            ("io.modelcontextprotocol/protocolVersion", "2026-07-28"), ("io.modelcontextprotocol/clientCapabilities", .record()),
            ("io.modelcontextprotocol/clientInfo", .record(("name", "berth"), ("version", .string(BerthVersion.current)))))
        var params = params.objectValue ?? JSONObject()
        params["_meta"] = meta
        let body: JSONValue = .record(("jsonrpc", "2.0"), ("id", .int(1)), ("method", .string(method)), ("params", .object(params)))
        var headers = [
            ("host", host), ("content-type", "application/json"), ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"), ("mcp-method", method),
        ]
        if let name { headers.append(("mcp-name", name)) }
        if let token { headers.append(("authorization", "Bearer \(token)")) }
        let response: HTTPClientResponse
        do {
            response = try await HTTPClient().execute(
                "POST", path, headers: headers, body: ByteBuffer(bytes: body.serialized()), to: endpoint, headTimeout: .seconds(120))
        } catch let failure as ExchangeFailure {
            throw Failure("\(url) does not answer: \(failure.reason)", hint: "berth status")
        }
        let bytes = try await response.collect(upTo: 64 << 20)
        let message = try lastMessage(bytes, isStream: response.headers["content-type"]?.hasPrefix("text/event-stream") == true)
        if let result = message["result"] { return result }
        let text = message["error"]?["message"]?.stringValue ?? message["message"]?.stringValue ?? "HTTP \(response.status)"
        var hint: String?
        switch (response.status, message["error"]?["code"]?.intValue) {
        case (401, _): hint = "give a token with --token-file or BERTH_TOKEN"
        case (404, _): hint = "berth vmcp list has the URLs, berth token list what a token opens"
        case (_, MCPError.Code.invalidParams?) where method == "tools/call" && text.contains("Unknown tool"):
            hint = try? await toolsHint(name ?? "", url: url, token: token)
        case (_, MCPError.Code.notDelivered?), (_, MCPError.Code.outcomeUnknown?): hint = "berth logs NAME shows what the server said"
        default: break
        }
        throw Failure("the call failed: \(text)", hint: hint)
    }

    /// The tools that there are, the nearest one first.
    private static func toolsHint(_ name: String, url: String, token: String?) async throws -> String {
        let names = try await request("tools/list", .record(), name: nil, url: url, token: token)["tools"]?.arrayValue?
            .compactMap { $0["name"]?.stringValue } ?? []
        return Suggestion.text(for: name, among: names) ?? "it has \(names.prefix(30).joined(separator: ", "))"
    }

    private static func lastMessage(_ bytes: ByteBuffer, isStream: Bool) throws -> JSONValue {
        guard isStream else { return (try? JSONValue(parsing: bytes.readableBytesSpan)) ?? .record() }
        var reader = SSEReader()
        reader.feed(bytes)
        var last: JSONValue = .record()
        while let event = try reader.next() {
            if let value = try? JSONValue(parsing: event.data.readableBytesSpan) { last = value }
        }
        return last
    }

    private static func path(of url: String) -> String {
        "/" + url.split(separator: "/", omittingEmptySubsequences: false).dropFirst(3).joined(separator: "/")
    }

    private static func split(_ url: String) throws -> (Endpoint, String, String) {
        guard url.hasPrefix("http://") else {
            throw Failure("'\(url)' is not http://HOST:PORT/…", hint: "TLS comes with a later version; use the loopback URL", code: 64)
        }
        let rest = url.dropFirst("http://".count)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = String(rest[..<slash])
        guard let endpoint = Endpoint(door: "http://" + (authority.contains(":") ? authority : authority + ":80")) else {
            throw Failure("'\(url)' is no URL", hint: "berth vmcp list prints them", code: 64)
        }
        return (endpoint, authority, slash == rest.endIndex ? "/" : String(rest[slash...]))
    }
}
