import Glibc
import JSONText
import MCP
import NIOCore
import NIOPosix
import Testing
import TestSupport
import Wire

@testable import Standalone
@testable import StdioBridge

/// The HTTP side over real sockets and a real server; `run` itself, with its signals, is tested through the binary.
struct StandaloneFrontTests {
    private typealias Bridge = StandaloneRig

    private func with(
        _ fixture: String = "fixture.py", sharing: Sharing = .session, tokens: String? = nil, _ body: (Bridge) async throws -> Void
    ) async throws {
        try await StandaloneRig.with(fixture, sharing: sharing, tokens: tokens, body)
    }

    private func message(_ body: String) throws -> JSONValue { try StandaloneRig.messages(body).last ?? .null }

    @Test(.tags(.failure24, .failure25), arguments: ["fixture.py", "modern.py"]) func aLegacyClient(fixture: String) async throws {
        try await with(fixture) { bridge in
            let opened = try await bridge.post(
                """
                {"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},\
                "clientInfo":{"name":"c","version":"1"}}}
                """)
            let session = try #require(opened.session)
            let result = try message(opened.body)["result"]
            #expect(result?["protocolVersion"] == "2025-06-18")
            #expect(result?["serverInfo"]?["name"]?.stringValue?.contains("fixture") == true)
            let headers = [("mcp-session-id", session), ("mcp-protocol-version", "2025-06-18")]
            #expect(try await bridge.post(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, headers).status == 202)
            let list = try message(try await bridge.post(#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#, headers).body)
            #expect(list["id"] == "a" && (list["result"]?["tools"]?.arrayValue?.count ?? 0) > 10)
            let call = #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}"#
            let answer = try message(try await bridge.post(call, headers).body)
            #expect(answer["result"]?["content"]?[0]?["text"] == "hello" && answer["result"]?["resultType"] == nil)

            let deleted = try await bridge.client.execute("DELETE", "/mcp", headers: headers, to: bridge.endpoint)
            _ = try await deleted.collect(upTo: 1000)
            #expect((200...204).contains(deleted.status))
            #expect(try await bridge.post(call, headers).status == 404)
        }
    }

    @Test(arguments: ["fixture.py", "modern.py"]) func aModernClient(fixture: String) async throws {
        try await with(fixture) { bridge in
            let meta = """
                "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},\
                "io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"progressToken":"p"}
                """
            let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "progress")]
            let call = #"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"progress","arguments":{"steps":2},\#(meta)}}"#
            let answer = try await bridge.post(call, headers)
            #expect(answer.status == 200)
            #expect(answer.body.split(separator: "notifications/progress").count == 3)
            #expect(try message(answer.body)["result"]?["resultType"] == "complete")
        }
    }

    /// The connection breaks in the middle of a call; the answer comes on the next.
    @Test(.tags(.failure17)) func aBrokenStreamGoesOn() async throws {
        try await with { bridge in
            let opened = try await bridge.post(
                """
                {"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},\
                "clientInfo":{"name":"c","version":"1"}}}
                """)
            let headers = [("mcp-session-id", try #require(opened.session)), ("mcp-protocol-version", "2025-11-25")]
            let call = """
                {"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"progress_then_wait","arguments":{"seconds":1},\
                "_meta":{"progressToken":7}}}
                """
            let accept = [("accept", "application/json, text/event-stream"), ("content-type", "application/json")]
            let broken = try await bridge.client.execute("POST", "/mcp", headers: accept + headers, body: ByteBuffer(string: call), to: bridge.endpoint)
            var seen: [SSEEvent] = []
            var reader = SSEReader()
            reading: for try await piece in broken.body {
                reader.feed(piece)
                while let event = try reader.next() {
                    seen.append(event)
                    if seen.count == 2 { break reading }
                }
            }
            let first = try #require(seen.first)
            #expect(first.data.readableBytes == 0 && first.retry != nil, "an event that only says where to resume")
            let last = try #require(seen.last?.id)
            let resumed = try await bridge.client.execute(
                "GET", "/mcp", headers: [("accept", "text/event-stream"), ("last-event-id", last)] + headers, to: bridge.endpoint)
            #expect(resumed.status == 200)
            let rest = try message(String(buffer: try await resumed.collect(upTo: 1 << 20)))
            #expect(rest["id"] == 3 && rest["result"]?["content"]?[0]?["text"] == "waited")
        }
    }

    /// Opens a session of a client that can be asked, and answers its headers.
    private func session(_ bridge: Bridge, _ headers: [(String, String)] = [], path: String = "/mcp") async throws -> [(String, String)] {
        try await bridge.session(headers, path: path)
    }

    private func call(_ bridge: Bridge, _ tool: String, _ headers: [(String, String)], path: String = "/mcp") async throws -> JSONValue {
        let body = #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"\#(tool)","arguments":{}}}"#
        return try message(try await bridge.post(body, headers, path: path).body)
    }

    @Test(arguments: Sharing.allCases) func whoHasAChildTogether(sharing: Sharing) async throws {
        try await with(sharing: sharing) { bridge in
            var pids: [Int?] = []
            for _ in 0..<2 {
                let answer = try await call(bridge, "identity", try await session(bridge))
                let text = answer["result"]?["content"]?[0]?["text"]?.stringValue ?? ""
                pids.append(try JSONValue(parsing: text)["pid"]?.intValue)
            }
            #expect(pids[0] != nil && (pids[0] == pids[1]) == (sharing != .session))
        }
    }

    /// A process for each of them would fill the host.
    @Test(.tags(.failure03)) func statelessPostsHaveOneProcess() async throws {
        try await with { bridge in
            let meta = #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#
            let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "identity")]
            let body = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"identity","arguments":{},\#(meta)}}"#
            let pids = try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let answer = try StandaloneRig.messages(try await bridge.post(body, headers).body).last
                        return try JSONValue(parsing: answer?["result"]?["content"]?[0]?["text"]?.stringValue ?? "")["pid"]?.intValue
                    }
                }
                return try await group.reduce(into: [Int?]()) { $0.append($1) }
            }
            #expect(Set(pids).count == 1 && pids[0] != nil, "\(pids)")
        }
    }

    /// Nobody can tell whom it asks: it is told so, and does not wait.
    @Test func aSharedServerCanAskNobody() async throws {
        try await with(sharing: .shared) { bridge in
            let answer = try await call(bridge, "ask", try await session(bridge))
            #expect(answer["result"]?["content"]?[0]?["text"]?.stringValue?.contains("-32601") == true, "\(answer)")
        }
    }

    @Test func foreignHostsAndOriginsAreRefused() async throws {
        try await with { bridge in
            for _ in 0..<2 {
                for (name, value) in [("host", "evil.test"), ("origin", "https://evil.test")] {
                    let refused = try await bridge.post("{}", [(name, value)])
                    #expect(refused.status == 403 && refused.body.contains("this host or origin is not allowed: \(name) \(value)"), "\(refused)")
                }
            }
            // Once each.
            #expect(
                bridge.lines == [
                    "a request for the host evil.test was refused: --allow-host lets it in, if it is yours",
                    "a request for the origin https://evil.test was refused: --allow-origin lets it in, if it is yours",
                ])
            for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/", 200), ("/none/mcp", 404)] {
                let response = try await bridge.client.execute("GET", path, to: bridge.endpoint)
                _ = try await response.collect(upTo: 1000)
                #expect(response.status == status, "\(path)")
            }
        }
    }

    @Test func everyServerHasPathsOfItsOwn() async throws {
        try await with { bridge in
            let list = try await bridge.client.execute("GET", "/", to: bridge.endpoint)
            let text = String(buffer: try await list.collect(upTo: 1000))
            #expect(text == #"{"endpoints":[{"mcp":"/mcp","sse":"/sse"},{"name":"one","mcp":"/one/mcp","sse":"/one/sse"}]}"#)
            let headers = try await session(bridge, path: "/one/mcp")
            #expect(try await call(bridge, "identity", headers, path: "/one/mcp")["result"] != nil)
            // A session belongs to where it was opened.
            #expect(try await bridge.post("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", headers).status == 404)
            let stream = try await bridge.client.execute("GET", "/one/sse", headers: [("accept", "text/event-stream")], to: bridge.endpoint)
            var reader = SSEReader()
            var first: String?
            for try await piece in stream.body {
                reader.feed(piece)
                if let event = try reader.next() {
                    first = String(buffer: event.data)
                    break
                }
            }
            #expect(first?.hasPrefix("/one/sse?sessionId=") == true)
        }
    }

    @Test func onlyTokensPass() async throws {
        let (alice, bob) = ("alice-0123456789abcdef", "bob-0123456789abcdef")
        try await with(sharing: .principal, tokens: "alice \(alice)\nbob \(bob)\nbob x\(bob)") { bridge in
            for headers in [[], [("authorization", "Bearer nobody-0123456789abcdef")], [("authorization", alice)]] {
                let answer = try await bridge.client.execute("GET", "/", headers: headers, to: bridge.endpoint)
                _ = try await answer.collect(upTo: 1000)
                #expect(answer.status == 401 && answer.headers["www-authenticate"] == "Bearer")
            }
            let tokens = [alice, bob, "x" + bob].map { [("authorization", "Bearer \($0)")] }
            var pids: [Int?] = []
            for token in tokens {
                let answer = try await call(bridge, "identity", try await session(bridge, token))
                pids.append(try JSONValue(parsing: answer["result"]?["content"]?[0]?["text"]?.stringValue ?? "")["pid"]?.intValue)
            }
            #expect(pids[0] != nil && pids[0] != pids[1] && pids[1] == pids[2], "a child for each principal: \(pids)")
            // A session is its principal's.
            let mine = try await session(bridge, tokens[0]).dropFirst()
            #expect(try await bridge.post("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", tokens[1] + mine).status == 404)
        }
    }

    @Test func pagesOfAllowedOriginsMayCall() async throws {
        let tokens = "alice 0123456789abcdef"
        try await with(tokens: tokens) { bridge in
            let origin = [("origin", "https://app.test")]
            let ask = origin + [("access-control-request-method", "POST"), ("access-control-request-headers", "mcp-session-id, authorization")]
            let beforehand = try await bridge.client.execute("OPTIONS", "/mcp", headers: ask, to: bridge.endpoint)
            _ = try await beforehand.collect(upTo: 1000)
            #expect(beforehand.status == 204 && beforehand.headers["access-control-allow-origin"] == "https://app.test")
            #expect(beforehand.headers["access-control-allow-headers"] == "mcp-session-id, authorization")
            for (headers, status) in [(origin, 401), (origin + [("authorization", "Bearer 0123456789abcdef")], 200)] {
                let body = """
                    {"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},\
                    "clientInfo":{"name":"c","version":"1"}}}
                    """
                let all = [("accept", "application/json, text/event-stream"), ("content-type", "application/json")] + headers
                let answer = try await bridge.client.execute("POST", "/mcp", headers: all, body: ByteBuffer(string: body), to: bridge.endpoint)
                _ = try await answer.collect(upTo: 10_000)
                #expect(answer.status == status && answer.headers["access-control-allow-origin"] == "https://app.test", "\(status): \(answer.status)")
                #expect(answer.headers["access-control-expose-headers"] == "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate")
                #expect((answer.headers["mcp-session-id"] != nil) == (status == 200))
            }
            // This host's own pages pass, but a browser gives them nothing: nobody asked for it.
            let local = ask.dropFirst() + [("origin", "http://localhost:3000")]
            let refused = try await bridge.client.execute("OPTIONS", "/mcp", headers: Array(local), to: bridge.endpoint)
            _ = try await refused.collect(upTo: 1000)
            #expect(refused.status == 401 && refused.headers["access-control-allow-origin"] == nil)
        }
    }

    /// A legacy client is asked, never answers, and has the call's answer all the same when the server does without. The question stays
    /// with it, as beside the server itself: that has not taken it back.
    @Test func aServerThatGivesUpAnswersItsClient() async throws {
        try await StandaloneRig.with { bridge in
            let headers = try await bridge.session()
            let call = #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"ask","arguments":{"seconds":0.1}}}"#
            let messages = try StandaloneRig.messages(try await bridge.post(call, headers).body)
            #expect(messages.map { $0["method"]?.stringValue } == ["elicitation/create", nil])
            let id = try #require(messages.first?["id"])
            #expect(messages.last?["id"]?.intValue == 3 && messages.last?.text.contains("silence") == true)
            let late = #"{"jsonrpc":"2.0","id":\#(id.text),"result":{"action":"accept","content":{}}}"#
            #expect(try await bridge.post(late, headers).status == 202)
        }
    }

    /// Its death is told at once, and not when the client has answered.
    @Test(.tags(.failure06)) func aServerThatDiesWhileItsClientIsAsked() async throws {
        try await StandaloneRig.with("asks_and_exits.py") { bridge in
            let headers = try await bridge.session()
            let call = #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"ask_and_exit","arguments":{}}}"#
            let messages = try StandaloneRig.messages(try await bridge.post(call, headers).body)
            #expect(messages.map { $0["method"]?.stringValue } == ["elicitation/create", "notifications/cancelled", nil], "\(messages)")
            #expect(messages.last?["id"]?.intValue == 3 && messages.last?["error"] != nil)
        }
    }

    /// The stream of SDKs comes before the first call, and both are the same client's.
    @Test(arguments: ["fixture.py", "dual.py"]) func aSessionsStreamAndItsCallsHaveOneServer(fixture: String) async throws {
        try await with(fixture) { bridge in
            let headers = try await bridge.session()
            let accepts = headers + [("accept", "text/event-stream")]
            let stream = try await bridge.client.execute("GET", "/mcp", headers: accepts, to: bridge.endpoint)
            #expect(stream.status == 200)
            let call = #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"declared","arguments":{}}}"#
            let answer = try message(try await bridge.post(call, headers).body)
            #expect(answer["result"]?["content"]?[0]?["text"]?.stringValue?.contains("elicitation") == true, "\(answer)")
            let own = await bridge.reports().filter { !$0.session.isEmpty }
            #expect(own.count == 1 && own.first?.era == "legacy", "\(own)")
            let deleted = try await bridge.client.execute("DELETE", "/mcp", headers: headers, to: bridge.endpoint)
            _ = try await deleted.collect(upTo: 1000)
            _ = try await stream.collect(upTo: 100_000)
        }
    }

    /// What a server of both eras says of itself may differ: each client hears it in its own.
    @Test func aClientHearsOfTheServerThatItGets() async throws {
        try await with("dual.py") { bridge in
            let meta = #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#
            let modern = try await bridge.post(
                #"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{\#(meta)}}"#,
                [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "server/discover")])
            #expect(try message(modern.body)["result"]?["_meta"]?["io.modelcontextprotocol/serverInfo"]?["name"] == "dual", "\(modern)")
            for capabilities in [#"{"elicitation":{}}"#, "{}"] {
                let opened = try await bridge.post(
                    """
                    {"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":\(capabilities),\
                    "clientInfo":{"name":"c","version":"1"}}}
                    """)
                #expect(try message(opened.body)["result"]?["serverInfo"]?["name"] == "fixture", "\(opened)")
            }
        }
    }
}
