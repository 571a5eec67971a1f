import Gateway
import NIOCore
import Sealing
import Testing
import Wire
import TestSupport

@Suite("data path: revocation")
struct DataPathRevocationTests {
    /// How a token is taken away.
    enum Way: CaseIterable, Sendable { case published, told, expired, virtualMCPTold }

    @Test(arguments: Way.allCases)
    func callsAndStreamsEndWithTheirToken(way: Way) async throws {
        try await DataPathFixture.with { (fixture) async throws in
            // Before anything is open: a grant that changes ends what it granted at once, and its time would prove nothing.
            let expiry = WallClock.milliseconds() + 5_000
            if way == .expired { try fixture.publish(expiring: expiry) }
            let session = try #require(try await fixture.initialize().session)
            let stream = try await fixture.open("GET", "/v/office/mcp", headers: [("mcp-session-id", session), ("accept", "text/event-stream")])
            // The transport of 2024-11-05 has a stream of its own.
            let old = try await fixture.open("GET", "/v/office/sse", headers: [("accept", "text/event-stream")])
            #expect(stream.status == 200 && old.status == 200)
            let open = Locked(2)
            let readers = [stream, old].map { stream in
                Task {
                    _ = try? await stream.body.collect(upTo: 1 << 20)
                    open.withLockedValue { $0 -= 1 }
                }
            }
            let call = Task { try await fixture.call("slow") }
            #expect(await eventually { fixture.door.state.withLockedValue { $0.running } == 1 })
            #expect(open.withLockedValue { $0 } == 2 || way == .expired && WallClock.milliseconds() >= expiry)
            switch way {
            case .published: try fixture.publish(without: ["alice"])
            case .told: fixture.path.endSessions(ofToken: "id-alice")
            case .virtualMCPTold: fixture.path.endSessions(ofVirtualMCP: "office")
            case .expired: break
            }
            #expect(await eventually(within: way == .expired ? 10 : 5) { open.withLockedValue { $0 } == 0 })
            #expect(await eventually(within: 5) { fixture.door.state.withLockedValue { $0.cancelled } == 1 })
            let answer = try await call.value
            #expect(answer.errorCode == 1002 && answer.message == "access was revoked")
            let row = try #require(fixture.calls().first)
            #expect(fixture.calls().count == 1 && row.outcome == .cancelled && row.reason.contains("revoked"))
            if way == .published || way == .expired { #expect(try await fixture.call("echo").status == 401) }
            if way == .virtualMCPTold { #expect(try await fixture.legacyCall("echo", session: session).status == 404) }
            for reader in readers { await reader.value }
        }
    }

    @Test func otherTokensAreLeftAlone() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let session = try #require(try await fixture.initialize(token: "alice2").session)
            try fixture.publish(without: ["alice"])
            #expect(try await fixture.legacyCall("echo", session: session, token: "alice2").content == "boot1")
            // The last token of the principal takes the session with it.
            try fixture.publish(without: ["alice", "alice2", "old"])
            #expect(await eventually { fixture.support.state.withLockedValue { $0.ended.contains(session) } })
            #expect(try await fixture.call("echo", token: "carol").content == "boot1")
        }
    }

    /// An admin's stream, which follows the audit log, knows no virtual MCP.
    @Test(arguments: [Way.published, .told, .expired]) func controlStreamsEndWithTheirToken(way: Way) async throws {
        try await DataPathFixture.with { (fixture) async throws in
            if way == .expired { try fixture.publish(expiring: WallClock.milliseconds() + 5_000) }
            let follower = try await fixture.open("GET", "/api/follow", token: "root")
            let other = try await fixture.open("GET", "/api/follow", token: "root2")
            #expect(follower.status == 200 && other.status == 200)
            let ends = Locked<[String]>([])
            // Ended in order or cut off: nothing more comes.
            let readers = [("root", follower), ("root2", other)].map { name, answer in
                Task {
                    do { for try await _ in answer.body.body {} } catch {}
                    ends.withLockedValue { $0.append(name) }
                }
            }
            switch way {
            case .published: try fixture.publish(without: ["root"])
            case .told: fixture.path.endSessions(ofToken: "id-root")
            case .expired, .virtualMCPTold: break
            }
            #expect(await eventually(within: way == .expired ? 10 : 5) { ends.withLockedValue { $0 } == ["root"] })
            if way != .told {
                #expect(try await fixture.send("GET", "/", token: "root").text == "GET / bearer - ")
                #expect(ends.withLockedValue { $0 } == ["root"], "another token of the principal goes on")
            }
            for reader in readers {
                reader.cancel()
                await reader.value
            }
        }
    }
}
