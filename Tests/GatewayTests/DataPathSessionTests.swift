import Foundation
import Gateway
import JSONText
import Logging
import NIOCore
import Testing
import Wire
import TestSupport

@Suite("data path: sessions")
struct DataPathSessionTests {
    @Test func legacyClientsHaveSessions() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let opened = try await fixture.initialize()
            #expect(opened.result?["serverInfo"]?["name"]?.stringValue == "office")
            #expect(opened.result?["instructions"]?.stringValue == "Be \"kind\".")
            let session = try #require(opened.session)
            let answer = try await fixture.legacyCall("echo", session: session)
            #expect(answer.content == "boot1" && answer.result?["resultType"] == nil && answer.json["id"] == .number("5"))
            #expect(fixture.door.calls.first?.session == session && fixture.door.calls.first?.clientEra == "legacy")
            #expect(fixture.all("connected").map(\.session) == [session])

            // Somebody else's, at another virtual MCP, made up, and the key of a modern client: not there.
            #expect(try await fixture.legacyCall("echo", session: session, token: "carol").status == 404)
            #expect(try await fixture.legacyCall("echo", session: session, token: "bob", slug: "other").status == 404)
            #expect(try await fixture.legacyCall("echo", session: "AAAAAAAAAAAAAAAAAAAAAA").status == 404)
            _ = try await fixture.call("echo")
            #expect(fixture.door.calls.last?.clientEra == nil)
            let modern = try #require(fixture.calls().last?.session)
            #expect(try await fixture.legacyCall("echo", session: modern).status == 404)

            // Ended by its client, the machine is told.
            #expect(try await fixture.send("DELETE", "/v/office/mcp", headers: [("mcp-session-id", session)]).status == 200)
            #expect(try await fixture.legacyCall("echo", session: session).status == 404)
            #expect(await eventually { fixture.door.state.withLockedValue { $0.seen.contains { $0.path == "/sessions/\(session)" } } })
            #expect(await eventually { fixture.support.state.withLockedValue { $0.ended } == [session] })
        }
    }

    @Test(.tags(.failure24)) func sessionsAndPinsSurviveTheGateway() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let session = try #require(try await fixture.initialize().session)
            _ = try await fixture.legacyCall("echo", session: session)
            let directory = fixture.directory
            let rows = fixture.rows
            let second = try await GatewayDataPath.make(
                group: fixture.group, settings: DataPathSettings(org: DataPathFixture.org), support: fixture.support, control: EchoControl(),
                journal: { _ in try AuditJournal(directory: directory + "/audit", chain: "l1") { new in rows.withLockedValue { $0 += new } } },
                logger: .init(label: "test"))
            second.publish(try DataPathFixture.directory())
            let port = try #require(try await second.listen(.tcp(host: "127.0.0.1", port: 0)))
            let starts = fixture.support.state.withLockedValue { $0.starts }
            let response = try await fixture.client.execute(
                "POST", "/v/office/mcp",
                headers: [
                    ("authorization", "Bearer alice"), ("mcp-session-id", session), ("accept", "application/json, text/event-stream"),
                    ("content-type", "application/json"),
                ],
                body: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#),
                to: .tcp(host: "127.0.0.1", port: port))
            #expect(response.status == 200)
            _ = try await response.collect(upTo: 1 << 20)
            #expect(fixture.support.state.withLockedValue { $0.starts } == starts)
            #expect(fixture.calls().last?.reason.isEmpty == true)
            await second.shutdown()
        }
    }

    @Test func firstCallsOfASessionShareOneSearch() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            fixture.support.state.withLockedValue { $0.delay = .milliseconds(100) }
            try await withThrowingTaskGroup(of: String?.self) { tasks in
                for id in 0..<5 { tasks.addTask { try await fixture.call("echo", id: "\(id)").content } }
                for try await content in tasks { #expect(content == "boot1") }
            }
            #expect(fixture.support.state.withLockedValue { $0.starts } == 1)
            #expect(fixture.calls().count == 5 && Set(fixture.calls().map(\.session)).count == 1)
        }
    }

    @Test(.tags(.failure18)) func sessionsDoNotMix() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let first = try #require(try await fixture.initialize().session)
            let second = try #require(try await fixture.initialize(token: "carol").session)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for id in 0..<10 {
                    // The same ids on both: nothing inside may be keyed by a client's id.
                    for (session, token) in [(first, "alice"), (second, "carol")] {
                        tasks.addTask {
                            let answer = try await fixture.legacyCall("echo", session: session, token: token, id: "\(id)")
                            #expect(answer.json["id"] == .number("\(id)"))
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            let seen = fixture.door.calls
            #expect(seen.filter { $0.session == first && $0.principal == "alice@example.org" }.count == 10)
            #expect(seen.filter { $0.session == second && $0.principal == "carol@example.org" }.count == 10)
            #expect(fixture.support.state.withLockedValue { $0.pins.count } == 2)
        }
    }

    @Test(.tags(.failure19)) func aLegacyClientCancelsFromAnotherConnection() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let session = try #require(try await fixture.initialize().session)
            let call = Task { try await fixture.legacyCall("slow", session: session, id: "9") }
            #expect(await eventually { fixture.door.state.withLockedValue { $0.running } == 1 })
            let cancelled = try await fixture.send(
                "POST", "/v/office/mcp", headers: [("mcp-session-id", session)],
                body: #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}"#)
            #expect(cancelled.status == 202)
            #expect(await eventually { fixture.door.state.withLockedValue { $0.cancelled } == 1 })
            _ = try await call.value
            #expect(fixture.calls().map(\.outcome) == [.cancelled])
        }
    }

    @Test(.tags(.failure23)) func tooManySessionsEndTheLongestUnused() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.sessionsPerPrincipal = 2 }) { (fixture) async throws in
            let first = try #require(try await fixture.initialize().session)
            let second = try #require(try await fixture.initialize().session)
            _ = try await fixture.legacyCall("echo", session: first)
            _ = try await fixture.initialize(token: "carol")
            _ = try await fixture.initialize()
            #expect(try await fixture.legacyCall("echo", session: first).status == 200)
            #expect(try await fixture.legacyCall("echo", session: second).status == 404)
        }
    }

    @Test func onePrincipalCannotTakeAllConnections() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.exchangesPerPrincipal = 2 }) { (fixture) async throws in
            let session = try #require(try await fixture.initialize().session)
            let stream = try await fixture.open("GET", "/v/office/mcp", headers: [("mcp-session-id", session), ("accept", "text/event-stream")])
            let slow = Task { try await fixture.call("slow") }
            #expect(await eventually { fixture.door.state.withLockedValue { $0.running } == 1 })
            #expect(try await fixture.call("echo").status == 503)
            #expect(try await fixture.call("echo", token: "carol").content == "boot1")
            slow.cancel()
            _ = try? await slow.value
            #expect(try await eventually { try await fixture.call("echo").content == "boot1" })
            #expect(stream.status == 200)
        }
    }

    @Test func aSessionIsTheSameOnEveryLoop() async throws {
        try await DataPathFixture.with(loops: 2) { (fixture) async throws in
            let session = try #require(try await fixture.initialize().session)
            func statuses() async throws -> Set<Int> {
                try await withThrowingTaskGroup(of: Int.self) { tasks in
                    // At once, so that each takes a connection of its own.
                    for id in 0..<8 { tasks.addTask { try await fixture.legacyCall("echo", session: session, id: "\(id)").status } }
                    return try await tasks.reduce(into: []) { $0.insert($1) }
                }
            }
            #expect(try await statuses() == [200])
            #expect(Set(fixture.calls().map(\.chain)).count == 2)
            #expect(fixture.support.state.withLockedValue { $0.pins.count } == 1)
            #expect(try await fixture.send("DELETE", "/v/office/mcp", headers: [("mcp-session-id", session)]).status == 200)
            #expect(await eventually { fixture.support.state.withLockedValue { $0.ended.contains(session) } })
            #expect(try await eventually { try await statuses() == [404] })
        }
    }

    @Test(.tags(.failure23)) func idleSessionsEnd() async throws {
        let settings = DataPathFixture.settings {
            $0.sessionIdle = .milliseconds(300)
            $0.modernIdle = .milliseconds(300)
        }
        try await DataPathFixture.with(settings) { (fixture) async throws in
            let session = try #require(try await fixture.initialize().session)
            _ = try await fixture.call("echo")
            let modern = try #require(fixture.calls().first?.session)
            #expect(await eventually { Set(fixture.support.state.withLockedValue { $0.ended }) == [session, modern] })
            #expect(fixture.support.state.withLockedValue { $0.pins.isEmpty })
            #expect(try await fixture.legacyCall("echo", session: session).status == 404)
            #expect(try await fixture.call("echo").content == "boot1")
        }
    }

    /// A stream keeps its session, and no longer than there is somebody at its other end.
    @Test(.tags(.failure04, .failure23)) func aSessionOutlivesItsLastStreamByItsIdleTimeAlone() async throws {
        // Long enough for the stream to be opened by a busy host.
        try await DataPathFixture.with(DataPathFixture.settings { $0.sessionIdle = .seconds(3) }) { (fixture) async throws in
            let session = try #require(try await fixture.initialize().session)
            let stream = try await fixture.open("GET", "/v/office/mcp", headers: [("mcp-session-id", session), ("accept", "text/event-stream")])
            #expect(stream.status == 200)
            let reader = Task { _ = try? await stream.body.collect(upTo: 1 << 20) }
            let other = try #require(try await fixture.initialize().session)
            func ended() -> Set<String> { Set(fixture.support.state.withLockedValue { $0.ended }) }
            #expect(await eventually { !ended().isEmpty })
            #expect(ended() == [other])
            reader.cancel()
            await reader.value
            #expect(await eventually { ended() == [session, other] })
            #expect(try await fixture.legacyCall("echo", session: session).status == 404)
        }
    }

    /// An editor starts a process of the client for each of its windows, and all come at once with what one of them was given.
    @Test(.tags(.failure27)) func processesOfOneClientDoNotDisturbEachOther() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let sessions = try await withThrowingTaskGroup(of: String.self) { tasks in
                for _ in 0..<20 {
                    tasks.addTask {
                        let session = try #require(try await fixture.initialize().session)
                        #expect(try await fixture.legacyCall("echo", session: session).status == 200)
                        return session
                    }
                }
                return try await tasks.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(sessions.count == 20)
            for session in sessions { #expect(try await fixture.legacyCall("echo", session: session).status == 200) }
        }
    }

    /// What stays in memory is not read again: its row would look unused at the next start.
    @Test func rowsHearOfSessionsInUse() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.sessionMark = .milliseconds(100) }) { (fixture) async throws in
            _ = try await fixture.call("echo")
            let session = try #require(try await fixture.initialize().session)
            func used() -> [[String]] { fixture.support.state.withLockedValue { $0.used } }
            #expect(await eventually { !used().isEmpty })
            let before = used().count
            _ = try await fixture.legacyCall("echo", session: session)
            #expect(await eventually { used().count > before })
            #expect(used().allSatisfy { $0 == [session] })
        }
    }

    @Test func aClientCannotMakeARowOfAnySize() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let answer = try await fixture.initialize(name: String(repeating: "n", count: 100_000))
            #expect(answer.errorCode == -32602 && answer.session == nil)
        }
    }
}
