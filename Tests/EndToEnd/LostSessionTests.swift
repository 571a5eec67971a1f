import Foundation
import TestSupport
import Testing

/// A remote server that has forgotten a session answers 404, and not with an error of the protocol.
struct LostSessionTests {
    @Test(.tags(.failure24)) func whatTheServerDidNotTakeIsSaidAgainInAnotherSession() async throws {
        let folder = NSTemporaryDirectory() + "berth-lost-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let server = try Background(["/usr/bin/python3", "-B", Repository.fixture("forgets_session.py")], in: folder)
        defer { server.end() }
        let url = try await server.line(within: 30) { $0.hasPrefix("http://") }
        let input =
            [
                #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#
                    + #""clientInfo":{"name":"x","version":"1"}}}"#,
                #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                #"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"where","arguments":{}}}"#,
            ].joined(separator: "\n") + "\n"
        let result = try await Command.run([Repository.binary("berth"), "connect", url], input: input, seconds: 60)
        #expect(result.status == 0 && result.output.split(separator: "\n").count == 2, "\(result)")
        #expect(result.output.contains(#""text":"session-2""#) || result.output.contains(#""text": "session-2""#), "\(result)")
    }
}
