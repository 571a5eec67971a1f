import Gateway
import JSONText
import NIOCore
import NIOPosix
import TestSupport
import Testing
import Wire

/// What one client may take of the process that serves them all.
@Suite("data path: budgets")
struct DataPathBudgetTests {
    /// Sends raw bytes and leaves the connection open.
    private static func hold(_ fixture: DataPathFixture, _ head: String, bytes: Int = 0) async throws -> any Channel {
        let channel = try await ClientBootstrap(group: fixture.group).connect(host: "127.0.0.1", port: fixture.port).get()
        var request = ByteBuffer(string: head.replacing("\n", with: "\r\n"))
        request.writeRepeatingByte(0x20, count: bytes)
        try await channel.writeAndFlush(request).get()
        return channel
    }

    private static func head(_ token: String, _ slug: String, _ length: Int) -> String {
        "POST /v/\(slug)/mcp HTTP/1.1\nHost: localhost\nAuthorization: Bearer \(token)\nContent-Length: \(length)\n\n"
    }

    /// Short bodies are read before their token is looked at, and count for their principal all the same.
    @Test(arguments: [(1, 200_000, 180_000), (4, 60_000, 50_000)])
    func bodiesThatDoNotEndCountForTheirPrincipal(connections: Int, length: Int, sent: Int) async throws {
        let settings = DataPathFixture.settings { $0.server.bodyBytesPerPayer = 256 << 10 }
        try await DataPathFixture.with(settings) { (fixture) async throws in
            var held: [any Channel] = []
            for _ in 0..<connections { held.append(try await Self.hold(fixture, Self.head("alice", "office", length), bytes: sent)) }
            let padding = #"{"x":""# + String(repeating: "x", count: 100_000) + #""}"#
            // What was sent may take a moment to arrive.
            #expect(await eventually { (try? await fixture.call("echo", arguments: padding).status) == 429 }, "alice is refused")
            let refusal = try await fixture.call("echo", token: "alice2", arguments: padding)
            #expect(refusal.json["error"] == .string("too_many_bytes"), "by any of her tokens")
            #expect(refusal.headers.contains("retry-after: 1"))
            #expect(try await fixture.call("echo").status == 200, "short calls go on")
            #expect(try await fixture.call("echo", token: "carol", arguments: padding).status == 200)
            for channel in held { try await channel.close().get() }
            #expect(await eventually { (try? await fixture.call("echo", arguments: padding).status) == 200 }, "alice has room again")
        }
    }

    @Test func strangersMakeRoomForOthers() async throws {
        let settings = DataPathFixture.settings { $0.server.connections = 4 }
        try await DataPathFixture.with(settings) { (fixture) async throws in
            #expect(try await fixture.call("echo").status == 200)
            var strangers: [any Channel] = []
            for _ in 0..<12 { strangers.append(try await Self.hold(fixture, "GET /healthz HTTP/1.1\nHost: localhost\n\n")) }
            #expect(try await fixture.call("echo").status == 200)
            #expect(try await fixture.call("echo", token: "carol").status == 200)
            #expect(await eventually { !strangers[0].isActive }, "the first strangers are closed")
            for channel in strangers { try? await channel.close().get() }
        }
    }
}
