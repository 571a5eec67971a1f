import Foundation
import Gateway
import JSONText
import NIOCore
import Testing
import TestSupport

@Suite("data path: calls")
struct DataPathCallTests {
    @Test func modernCallsAreAnsweredAndLogged() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let answer = try await fixture.call("echo", arguments: #"{"city":"Bern","password":"hunter2"}"#, id: #""abc""#)
            #expect(answer.status == 200)
            #expect(answer.json["id"] == .string("abc"))
            #expect(answer.content == "boot1")
            #expect(answer.result?["resultType"] == .string("complete"))
            let row = try #require(fixture.calls().first)
            #expect(fixture.calls().count == 1)
            #expect(row.outcome == .allowed && row.principal == "alice@example.org" && row.tokenID == "id-alice" && row.virtualMCP == "office")
            #expect(row.connector == "time" && row.tool == "echo" && row.exposedTool == "echo" && row.reason.isEmpty)
            #expect(row.machine == "0123456789abcd" && row.boot == "boot1" && row.latencyMicroseconds > 0)
            #expect(row.arguments?.text == #"{"city":"Bern","password":"[redacted]"}"#)
            #expect(row.result?.text.contains("boot1") == true)
            let seen = try #require(fixture.door.calls.first)
            #expect(seen.principal == "alice@example.org" && seen.session == row.session && !seen.body.contains(#""id":"abc""#))
            #expect(fixture.all("connected").count == 1)
        }
    }

    @Test func renamedToolsReachTheirOriginal() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            #expect(try await fixture.call("time__renamed").content == "boot1")
            #expect(fixture.door.calls.first?.tool == "echo")
            let row = try #require(fixture.calls().first)
            #expect(row.exposedTool == "time__renamed" && row.tool == "echo")
        }
    }

    @Test(.tags(.failure20)) func questionsGoRoundWithASealedState() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let asked = try #require(try await fixture.call("asks").result)
            #expect(asked["resultType"] == "input_required" && asked["inputRequests"]?["k"] != nil)
            let state = try #require(asked["requestState"]?.stringValue)
            #expect(!state.contains("own"))
            func retry(_ token: String) async throws -> DataPathFixture.Answer {
                try await fixture.send(
                    "POST", "/v/office/mcp", token: token, headers: DataPathFixture.modernHeaders("tools/call", name: "asks"),
                    body: DataPathFixture.modern(
                        "tools/call", #""name":"asks","arguments":{},"requestState":"\#(state)","inputResponses":{"k":{"action":"accept"}}"#))
            }
            #expect(try await retry("carol").errorCode == -32602)
            let answered = try await retry("alice")
            #expect(answered.content == "own state", "\(answered.text)")
            #expect(try await retry("alice").errorCode == -32602)
            #expect(fixture.door.calls(of: "asks") == 2)
        }
    }

    /// A server that does without the answer to its question: its client hears so at once, and the audit has two rows as with an answer.
    @Test func aQuestionIsTakenBack() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let params = #"{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"t","version":"1"}}"#
            let opened = try await fixture.send(
                "POST", "/v/office/mcp", body: #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":\#(params)}"#)
            let answer = try await fixture.legacyCall("gives_up", session: try #require(opened.session))
            #expect(answer.content == "own state", "\(answer.text)")
            #expect(answer.text.contains("elicitation/create") && answer.text.contains("notifications/cancelled"))
            #expect(fixture.door.calls(of: "gives_up") == 3 && fixture.calls().count == 2)
        }
    }

    struct Outcome: Sendable {
        var tool: String
        var outcome: AuditOutcome
        var code: Int?
        var reason: String
    }

    static let outcomes: [Outcome] = [
        Outcome(tool: "fails", outcome: .error, code: nil, reason: "the tool answered isError"),
        Outcome(tool: "error", outcome: .error, code: -32050, reason: "upstream says no"),
        Outcome(tool: "dies", outcome: .unknown, code: 1002, reason: "outcome_unknown"),
        Outcome(tool: "unstarted", outcome: .error, code: 1001, reason: "not_delivered"),
        Outcome(tool: "garbage", outcome: .unknown, code: 1002, reason: "outcome_unknown"),
        Outcome(tool: "other", outcome: .unknown, code: 1002, reason: "outcome_unknown"),
        Outcome(tool: "big", outcome: .allowed, code: nil, reason: ""),
        Outcome(tool: "nosuch", outcome: .error, code: -32602, reason: "Unknown tool: nosuch"),
    ]

    @Test(arguments: outcomes)
    func everyCallHasOneRow(expected: Outcome) async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let answer = try await fixture.call(expected.tool)
            #expect(answer.errorCode == expected.code)
            #expect(fixture.calls().count == 1)
            let row = try #require(fixture.calls().first)
            #expect(row.outcome == expected.outcome && row.reason.hasPrefix(expected.reason), "\(row.reason)")
            #expect(fixture.door.calls(of: expected.tool) == (expected.tool == "nosuch" ? 0 : 1))
            if expected.tool == "nosuch" { #expect(answer.message == "Unknown tool: nosuch") }
            if expected.tool == "big" { #expect(answer.content?.utf8.count == 3_000_000 && row.result?.truncated == true) }
        }
    }

    @Test func answersOverTheLimitEndTheCall() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.answerBytes = 1 << 20 }) { (fixture) async throws in
            #expect(try await fixture.call("big").errorCode == 1002)
            #expect(fixture.calls().map(\.outcome) == [.unknown])
            #expect(try await fixture.call("echo").content == "boot1")
        }
    }

    @Test func listsComeFromTheCatalogue() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let list = try await fixture.send(
                "POST", "/v/office/mcp", headers: DataPathFixture.modernHeaders("tools/list"), body: DataPathFixture.modern("tools/list"))
            #expect(list.result?["tools"]?[0]?["name"]?.stringValue == "echo")
            let cursor = try await fixture.send(
                "POST", "/v/office/mcp", headers: DataPathFixture.modernHeaders("tools/list"),
                body: DataPathFixture.modern("tools/list", #""cursor":"x""#))
            #expect(cursor.errorCode == -32602)
            let prompts = try await fixture.send(
                "POST", "/v/office/mcp", headers: DataPathFixture.modernHeaders("prompts/list"), body: DataPathFixture.modern("prompts/list"))
            #expect(prompts.status == 404 && prompts.errorCode == -32601)
            let discover = try await fixture.send(
                "POST", "/v/office/mcp", headers: DataPathFixture.modernHeaders("server/discover"), body: DataPathFixture.modern("server/discover"))
            #expect(discover.result?["instructions"]?.stringValue == "Be \"kind\".")
            #expect(fixture.door.calls.isEmpty && fixture.support.state.withLockedValue { $0.starts } == 0)
        }
    }

    @Test func progressComesThroughUnderTheCallersToken() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let answer = try await fixture.call("progress", meta: #","progressToken":"mine""#)
            let events = answer.text.split(separator: "\n").filter { $0.hasPrefix("data: ") }
                .compactMap { try? JSONValue(parsing: String($0.dropFirst(6))) }
            #expect(events.count == 3, "\(answer.text)")
            #expect(events.first?["params"]?["progressToken"] == .string("mine"))
            #expect(events.dropFirst().first?["method"] == .string("notifications/message"))
            #expect(events.last?["result"] != nil)
            #expect(fixture.calls().map(\.outcome) == [.allowed])
            // The connection is whole: it serves the next call.
            #expect(try await fixture.call("echo").content == "boot1")
        }
    }

    @Test func callsEndAtTheirDeadline() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.callTimeout = .seconds(1) }) { (fixture) async throws in
            let answer = try await fixture.call("slow")
            #expect(answer.errorCode == 1002 && answer.message == "no answer within the time limit")
            #expect(fixture.calls().map(\.outcome) == [.timeout])
            #expect(await eventually { fixture.door.state.withLockedValue { $0.cancelled } == 1 })
        }
    }

    @Test func theTimeAMachineTakesToStartCounts() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.callTimeout = .milliseconds(200) }) { (fixture) async throws in
            fixture.support.state.withLockedValue { $0.delay = .seconds(2) }
            #expect(try await fixture.call("echo").errorCode == 1001)
            #expect(fixture.calls().map(\.outcome) == [.timeout])
            #expect(fixture.door.calls.isEmpty)
        }
    }

    @Test func aModernClientThatHangsUpCancels() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let call = Task { try await fixture.call("slow") }
            #expect(await eventually { fixture.door.state.withLockedValue { $0.running } == 1 })
            call.cancel()
            #expect(await eventually { fixture.door.state.withLockedValue { $0.cancelled } == 1 })
            #expect(await eventually { fixture.calls().map(\.outcome) == [.cancelled] })
            _ = try? await call.value
        }
    }

    @Test func oneMoreCallThanAllowedIsRefused() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.callsPerPrincipal = 1 }) { (fixture) async throws in
            let slow = Task { try await fixture.call("slow") }
            #expect(await eventually { fixture.door.state.withLockedValue { $0.running } == 1 })
            #expect(try await fixture.call("echo").errorCode == 1001)
            #expect(try await fixture.call("echo", token: "carol").content == "boot1")
            #expect(fixture.calls().map(\.outcome) == [.denied, .allowed])
            slow.cancel()
            _ = try? await slow.value
            #expect(await eventually { fixture.calls().count == 3 })
            #expect(try await fixture.call("echo").content == "boot1")
        }
    }

    @Test func withoutTheLogNothingIsAnswered() async throws {
        // Every row begins a new segment, and the third cannot be made.
        try await DataPathFixture.with(segmentSize: 1) { (fixture) async throws in
            let blocked = fixture.directory + "/audit"
            #expect(try await fixture.call("echo").content == "boot1")
            let number = fixture.rows.withLockedValue { $0.count } + 1
            let names = try FileManager.default.contentsOfDirectory(atPath: blocked)
            let sample = try #require(names.first { $0.hasSuffix(".rows") })
            let digits = sample.dropFirst("l0-".count).dropLast(".rows".count).count
            let next = String(repeating: "0", count: max(0, digits - String(number).count)) + String(number)
            try FileManager.default.createDirectory(atPath: "\(blocked)/l0-\(next).rows", withIntermediateDirectories: false)

            let before = fixture.door.calls(of: "echo")
            let first = try await fixture.call("echo")
            #expect(first.errorCode == -32603 && first.json["error"]?["data"]?["error"]?.stringValue == "audit_unavailable")
            // From here on nothing is delivered either.
            #expect(try await fixture.call("echo").errorCode == -32603)
            #expect(fixture.door.calls(of: "echo") == before + 1)
            #expect(try await fixture.send("GET", "/readyz", token: nil).status == 503)

            try FileManager.default.removeItem(atPath: "\(blocked)/l0-\(next).rows")
            _ = try await fixture.call("echo")
            #expect(try await fixture.call("echo").content == "boot1")
        }
    }
}
