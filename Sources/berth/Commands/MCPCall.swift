import AuthorCommands
import Glibc
import JSONText
import MCP
import NIOCore
import Wire

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
            (MetaKey.protocolVersion, .string(ProtocolVersion.modern)), (MetaKey.clientCapabilities, .record()),
            (MetaKey.clientInfo, .record(("name", "berth"), ("version", .string(BerthVersion.current)))))
        var params = params.objectValue ?? JSONObject()
        params["_meta"] = meta
        let body: JSONValue = .record(("jsonrpc", "2.0"), ("id", .int(1)), ("method", .string(method)), ("params", .object(params)))
        var headers = [
            ("host", host), ("content-type", "application/json"), ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", ProtocolVersion.modern), ("mcp-method", method),
        ]
        if let name { headers.append(("mcp-name", name)) }
        if let token { headers.append(("authorization", "Bearer \(token)")) }
        let (status, message) = try await exchange(path, headers, body, endpoint, url: url)
        if let result = message["result"] { return result }
        let text = message["error"]?["message"]?.stringValue ?? message["message"]?.stringValue ?? "HTTP \(status)"
        var hint: String?
        switch (status, message["error"]?["code"]?.intValue) {
        case (401, _): hint = "give a token with --token-file or BERTH_TOKEN"
        case (404, _): hint = "berth vmcp list has the URLs, berth token list what a token opens"
        case (_, MCPError.Code.invalidParams?) where method == "tools/call" && text.contains("Unknown tool"):
            hint = try? await toolsHint(name ?? "", url: url, token: token, socket: socket)
        case (_, MCPError.Code.notDelivered?), (_, MCPError.Code.outcomeUnknown?): hint = "berth logs NAME shows what the server said"
        default: break
        }
        throw Failure("the call failed: \(text)", hint: hint)
    }

    /// One request over a client of its own, which ends with it.
    private static func exchange(
        _ path: String, _ headers: [(String, String)], _ body: JSONValue, _ endpoint: Endpoint, url: String
    ) async throws -> (status: Int, message: JSONValue) {
        let client = HTTPClient()
        let answer: Result<(Int, JSONValue), any Error>
        do {
            let response = try await client.execute(
                "POST", path, headers: headers, body: ByteBuffer(bytes: body.serialized()), to: endpoint, headTimeout: .seconds(headSeconds))
            let bytes = try await response.collect(upTo: 64 << 20)
            let isStream = response.headers["content-type"]?.hasPrefix("text/event-stream") == true
            answer = .success((response.status, try lastMessage(bytes, isStream: isStream)))
        } catch let failure as ExchangeFailure {
            answer = .failure(unanswered(url, failure))
        } catch is HTTPClientError {
            answer = .failure(Failure("\(url) has not answered for \(headSeconds) s, and may still act on the call", hint: "berth logs NAME"))
        } catch {
            answer = .failure(error)
        }
        await client.shutdown()
        return try answer.get()
    }

    private static let headSeconds: Int64 = 120

    /// What the kernel says in numbers, in words.
    private static func unanswered(_ url: String, _ failure: ExchangeFailure) -> Failure {
        if failure.reason.contains("errno: \(ECONNREFUSED)") {
            return Failure("nothing listens at \(url)", hint: "berth status has the URL; berth bridge prints its own")
        }
        guard failure.kind == .notSent else {
            return Failure("\(url) ended before its answer did, and may have acted on the call", hint: "berth status")
        }
        return Failure("\(url) cannot be reached", hint: "berth status has the URL; berth bridge prints its own")
    }

    /// The tools that there are, the nearest one first.
    private static func toolsHint(_ name: String, url: String, token: String?, socket: String?) async throws -> String {
        let names = try await request("tools/list", .record(), name: nil, url: url, token: token, socket: socket)["tools"]?.arrayValue?
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
