import Foundation
import Gateway
import JSONText
import NIOCore
import TestSupport
import Testing
import Wire

/// Who listens hears that a virtual MCP's tools changed, in either era, and for as long as the token is good.
@Suite("data path: subscriptions")
struct DataPathListenTests {
    /// The lines of a stream as they come.
    private final class Reader: Sendable {
        let events = Locked<[JSONValue]>([])
        let ended = Locked(false)
        private let task: Task<Void, Never>

        init(_ response: HTTPClientResponse) {
            let events = events
            let ended = ended
            task = Task {
                do {
                    for try await line in response.lines where line.readableBytes > 6 {
                        let text = String(buffer: line)
                        guard text.hasPrefix("data: "), let value = try? JSONValue(parsing: String(text.dropFirst(6))) else { continue }
                        events.withLockedValue { $0.append(value) }
                    }
                } catch {}
                ended.withLockedValue { $0 = true }
            }
        }

        func stop() { task.cancel() }
        var methods: [String] { events.withLockedValue { $0.map { $0["method"]?.stringValue ?? "-" } } }
    }

    private func modern(_ fixture: DataPathFixture) async throws -> Reader {
        let response = try await fixture.open(
            "POST", "/v/office/mcp", headers: DataPathFixture.modernHeaders("subscriptions/listen"),
            body: DataPathFixture.modern("subscriptions/listen", #""notifications":{"toolsListChanged":true,"resourcesListChanged":true}"#, id: "9"))
        #expect(response.status == 200)
        return Reader(response.body)
    }

    @Test(.tags(.failure21)) func aChangedListIsTold() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let reader = try await modern(fixture)
            #expect(await eventually { reader.methods == ["notifications/subscriptions/acknowledged"] })
            let granted = reader.events.withLockedValue { $0.first?["params"]?["notifications"]?.text }
            #expect(granted == #"{"toolsListChanged":true}"#, "a virtual MCP has tools alone")

            let session = try #require(try await fixture.initialize().session)
            let stream = try await fixture.open(
                "GET", "/v/office/mcp",
                headers: [("mcp-session-id", session), ("mcp-protocol-version", "2025-11-25"), ("accept", "text/event-stream")])
            let legacy = Reader(stream.body)

            try fixture.publish()
            try fixture.publish(renamed: "echo2")
            #expect(await eventually { reader.methods.last == "notifications/tools/list_changed" })
            #expect(await eventually { legacy.methods == ["notifications/tools/list_changed"] })
            #expect(reader.methods.count == 2, "a directory that changes nothing of it is no news")
            let id = reader.events.withLockedValue { $0.last?["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"]?.intValue }
            #expect(id == 9)
            #expect(legacy.events.withLockedValue { $0.first?["params"]?["_meta"] } == nil)

            try fixture.publish(without: ["alice"], renamed: "echo2")
            #expect(await eventually { reader.ended.withLockedValue { $0 } && legacy.ended.withLockedValue { $0 } })
        }
    }
}
