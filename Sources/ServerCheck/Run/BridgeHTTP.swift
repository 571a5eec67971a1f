import JSONText
import MCP
import NIOCore
import Wire

/// A request's answer over HTTP, as a client sees it.
enum Reply: Sendable {
    case result(JSONValue)
    case error(code: Int, message: String)
    case refused(status: Int)
    case silent(seconds: Int)
    case broken(String)

    var value: JSONValue? {
        if case .result(let value) = self { value } else { nil }
    }

    /// Why there is no result, its first line a clause and under it what the server wrote to its standard error.
    var problem: String {
        switch self {
        case .result: "it answered"
        case .error(_, let message): message
        case .refused(let status): "the bridge answered HTTP \(status)"
        case .silent(let seconds): "no answer in \(seconds) s"
        case .broken(let reason): reason
        }
    }
}

/// HTTP to one bridge on loopback.
struct BridgeHTTP: Sendable {
    private static let longestAnswer = 64 << 20

    let client: HTTPClient
    let port: Int
    let seconds: Int

    func post(_ message: JSONValue, headers: [(String, String)]) async -> (reply: Reply, session: String?) {
        let fixed = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
        let body = ByteBuffer(bytes: message.serialized())
        return await limited {
            let response = try await client.execute(
                "POST", "/mcp", headers: fixed + headers, body: body, to: .tcp(host: "127.0.0.1", port: port), headTimeout: nil)
            let text = try await response.collect(upTo: Self.longestAnswer)
            let isStream = response.headers["content-type"]?.hasPrefix("text/event-stream") == true
            return (Self.reply(response.status, isStream ? Self.lastMessage(text) : text), response.headers["mcp-session-id"])
        }
    }

    /// Has the server started for nobody yet, in the newest protocol that it speaks: an empty result when it has answered.
    func ready() async -> Reply {
        await limited {
            let response = try await client.execute("GET", "/readyz", to: .tcp(host: "127.0.0.1", port: port), headTimeout: nil)
            _ = try await response.collect(upTo: Self.longestAnswer)
            return (response.status == 200 ? .result([:]) : .refused(status: response.status), nil)
        }.reply
    }

    func delete(session: String) async {
        _ = await limited {
            let response = try await client.execute(
                "DELETE", "/mcp", headers: [("mcp-session-id", session)], to: .tcp(host: "127.0.0.1", port: port), headTimeout: nil)
            _ = try await response.collect(upTo: Self.longestAnswer)
            return (.result(.null), nil)
        }
    }

    private func limited(_ work: @escaping @Sendable () async throws -> (Reply, String?)) async -> (reply: Reply, session: String?) {
        await withTaskGroup(of: (Reply, String?)?.self) { group in
            group.addTask {
                do {
                    return try await work()
                } catch let failure as ExchangeFailure {
                    return (.broken(failure.reason), nil)
                } catch {
                    return (.broken("\(error)"), nil)
                }
            }
            group.addTask {
                // The bridge gives up a start after the same time, and knows why it did not come to an end.
                try? await Task.sleep(for: .seconds(seconds + 2))
                return nil
            }
            let first = await group.next()
            group.cancelAll()
            return (first ?? nil) ?? (.silent(seconds: seconds), nil)
        }
    }

    private static func reply(_ status: Int, _ body: ByteBuffer) -> Reply {
        guard let value = try? JSONValue(parsing: body.readableBytesSpan) else {
            return status == 202 ? .result(.null) : .refused(status: status)
        }
        if let result = value["result"] { return .result(result) }
        guard let error = value["error"], let code = error["code"]?.intValue else { return .refused(status: status) }
        return .error(code: code, message: error["message"]?.stringValue ?? "an error without a message")
    }

    /// The response is the last of what a stream brings.
    private static func lastMessage(_ stream: ByteBuffer) -> ByteBuffer {
        var reader = SSEReader(maxEventBytes: longestAnswer)
        reader.feed(stream)
        var last = ByteBuffer()
        while let event = try? reader.next() { if event.event == "message", event.data.readableBytes > 0 { last = event.data } }
        return last
    }
}
