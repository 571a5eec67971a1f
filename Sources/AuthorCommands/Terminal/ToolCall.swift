import JSONText
import MCP
import NIOCore
import RemoteClient
import Standalone
import Wire

/// One `tools/call` of a command's own, of which nobody is asked anything.
package enum ToolCall {
    private static let time = TimeLimit(.seconds(120), beginsAnew: true)

    /// - Parameter socket: a gateway's control socket, which serves the URL's path whatever its host and the proxy in front are.
    package static func run(_ name: String, _ arguments: JSONValue, url: String, token: String?, socket: String) async throws -> JSONValue {
        guard var address = RemoteAddress(url) else { throw Failure("'\(url)' is no URL", hint: "berth vmcp list prints them") }
        address.endpoint = .unix(path: socket)
        address.authority = "localhost"
        let connection = try await ServerConnection.open(address, token: token)
        let params: JSONObject = ["name": .string(name), "arguments": arguments]
        let outcome = try? await time.run("tools/call") { heard in
            await connection.call("tools/call", params, capabilities: ByteBuffer(string: "{}")) { _ in heard() }
        }
        await connection.close()
        switch outcome {
        case .result(let text): return ServerTalk.value(text)
        case .error(let error): throw Failure("the call failed: \(error.message)", hint: "berth logs NAME shows what the server said")
        case .failed(let why): throw Failure("the call failed: \(why.reason)", hint: "berth status")
        case nil: throw Failure("\(url) has not answered for 120 s, and may still act on the call", hint: "berth logs NAME")
        }
    }
}
