import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

/// Real children that ask their clients in the middle of a call.
@Suite struct InputTests {
    /// A legacy server's handshake tells it once of its client; one that says more later is served by another child.
    @Test func whoCanBeAskedMoreHasAChildThatKnows() async throws {
        try await Rig.with { rig in
            func pid(_ capabilities: String) async -> Int? {
                await rig.start("identity", capabilities: capabilities).reply().json?["pid"]?.intValue
            }
            let plain = await pid("{}")
            let able = await pid(#"{"elicitation":{}}"#)
            #expect(plain != nil && able != nil && plain != able)
            #expect(await pid("{}") == plain)
            #expect(await pid(#"{"elicitation":{"form":{}}}"#) == able)
            #expect(await rig.start("declared", capabilities: #"{"elicitation":{}}"#).reply().json?["elicitation"] != nil)
            #expect(await rig.end("s"))
            #expect(await rig.reports().isEmpty, "a session's end is all its children's")
        }
    }

    /// A client that says something else each time does not fill the host.
    @Test func aSessionHasFourChildrenAtMost() async throws {
        try await Rig.with { rig in
            var pids: [Int?] = []
            // None of them has all that a later one says.
            for names in [["roots"], ["sampling"], ["elicitation"], ["roots", "sampling"], ["roots", "elicitation"], ["sampling", "elicitation"]] {
                let capabilities = "{" + names.map { "\"\($0)\":{}" }.joined(separator: ",") + "}"
                pids.append(await rig.start("identity", capabilities: capabilities).reply().json?["pid"]?.intValue)
            }
            #expect(!pids.contains(nil) && Set(pids).count == 6, "\(pids)")
            await eventually("two have made room") { await rig.reports().count == 4 }
        }
    }

    @Test func aModernServerIsToldWithEachRequest() async throws {
        try await Rig.with("modern.py") { rig in
            var pids: Set<Int?> = []
            for capabilities in ["{}", #"{"elicitation":{}}"#] {
                pids.insert(await rig.start("identity", capabilities: capabilities).reply().json?["pid"]?.intValue)
            }
            #expect(pids.count == 1 && !pids.contains(nil))
        }
    }

    private static let able = #"{"elicitation":{},"sampling":{},"roots":{}}"#

    private func state(_ reply: Reply) throws -> (state: String, key: String, question: JSONValue) {
        guard case .result(let result) = reply else { throw Unexpected(reply: reply) }
        #expect(result["resultType"]?.stringValue == "input_required")
        let (key, question) = try #require(result["inputRequests"]?.objectValue?.members.first)
        return (try #require(result["requestState"]).text, key, question)
    }

    private struct Unexpected: Error { var reply: Reply }

    @Test(.tags(.failure20)) func aQuestionAndItsAnswer() async throws {
        try await Rig.with { rig in
            let first = try state(await rig.start("ask", capabilities: Self.able).reply())
            #expect(first.question["method"]?.stringValue == "elicitation/create")
            #expect(await rig.reports().first?.callsInFlight == 0)
            let again = await rig.start(
                "ask", capabilities: Self.able,
                more: #","requestState":\#(first.state),"inputResponses":{"\#(first.key)":{"action":"accept","content":{"a":1}}}"#).reply()
            #expect(again.json?[0]?["content"]?["a"]?.intValue == 1)
        }
    }

    @Test func roundAfterRound() async throws {
        try await Rig.with { rig in
            var reply = await rig.start("ask", #"{"times":3}"#, capabilities: Self.able).reply()
            for number in 1...3 {
                let round = try state(reply)
                reply = await rig.start(
                    "ask", #"{"times":3}"#, capabilities: Self.able,
                    more: #","requestState":\#(round.state),"inputResponses":{"\#(round.key)":{"action":"accept","content":{"n":\#(number)}}}"#
                ).reply()
            }
            #expect((0..<3).map { reply.json?[$0]?["content"]?["n"]?.intValue } == [1, 2, 3])
        }
    }

    /// The child is told in its handshake what its client can be asked for, also the one that the readiness probe had used.
    @Test func theHandshakeTellsTheClientsCapabilities() async throws {
        try await Rig.with { rig in
            let loop = rig.loop
            let warm = loop.makePromise(of: Bool.self)
            _ = await rig.on { sessions in sessions.warm { warm.succeed((try? $0.get()) != nil) } }
            let isWarm = try await warm.futureResult.get()
            #expect(isWarm)
            #expect(await rig.start("declared", session: "able", capabilities: Self.able).reply().json?["elicitation"] != nil)
            #expect(await rig.start("declared", session: "plain").reply().json?.text == "{}")
        }
    }

    @Test(.tags(.failure20)) func nothingIsAskedOfWhoDeclaredNothing() async throws {
        try await Rig.with { rig in
            #expect(await rig.start("ask").reply().json?[0]?["code"]?.intValue == -32601)
        }
    }

    /// A child with an open question is not idle, so that no other session takes its place.
    @Test func whoWaitsForAnAnswerKeepsItsPlace() async throws {
        try await Rig.with(limits: { ($0.children, $0.room) = (1, .seconds(3)) }) { rig in
            let first = try state(await rig.start("ask", capabilities: Self.able).reply())
            #expect(await rig.start("echo", session: "other").reply().failure?.kind == .notDelivered)
            let again = await rig.start(
                "ask", capabilities: Self.able,
                more: #","requestState":\#(first.state),"inputResponses":{"\#(first.key)":{"action":"decline"}}"#
            ).reply()
            #expect(again.json?[0]?["action"]?.stringValue == "decline")
            // Whoever comes waits three seconds for the other to be gone, and may come again: on a busy host that can take longer.
            await eventually("its place is another's") {
                await rig.start("echo", #"{"text":"now"}"#, session: "other").reply().text == "now"
            }
        }
    }

    /// An answer that is there, and is withheld for a question that may be another call's, outlives the process that gave it.
    @Test(.tags(.failure06), arguments: [true, false]) func anAnswerOutlivesItsProcess(isWaitedFor: Bool) async throws {
        try await Rig.with { rig in
            _ = await rig.start("declared", capabilities: Self.able).reply()
            // It can be asked nothing, but is open when the question comes.
            let other = rig.start("hang")
            await eventually("the other call is open") { await rig.inFlight("s") == 1 }
            let first = try state(await rig.start("ask", #"{"seconds":0.01}"#, capabilities: Self.able).reply())
            await eventually("the server has done without") { await rig.inFlight("s") == 1 }
            func come(_ responses: String) -> Pending {
                rig.start(
                    "ask", #"{"seconds":0.01}"#, capabilities: Self.able, more: #","requestState":\#(first.state),"inputResponses":\#(responses)"#)
            }
            let wait = isWaitedFor ? come(#"{"berth/wait":{}}"#) : nil
            #expect(await rig.start("crash", capabilities: Self.able).reply().failure?.kind == .outcomeUnknown)
            #expect(await other.reply().failure?.kind == .outcomeUnknown)
            if let wait { #expect(await wait.reply() == .result(["resultType": "berth/settled"])) }
            // More than once, and no process is started for it.
            #expect(await come(#"{"berth/wait":{}}"#).reply() == .result(["resultType": "berth/settled"]))
            let answer = await come(#"{"\#(first.key)":{"action":"accept","content":{}}}"#).reply()
            #expect(answer.json?[0]?["message"] == "silence", "\(answer)")
            let reports = await rig.reports()
            #expect(reports.map(\.starts) == [1] && reports.map(\.pid) == [nil], "\(reports)")
            // It is told once.
            #expect(await come(#"{"berth/wait":{}}"#).reply().failure?.kind == .outcomeUnknown)
        }
    }

    /// Its calls and questions count from the start: what is kept of the one before is none of theirs.
    @Test(.tags(.failure06)) func theNextProcessAsksForItself() async throws {
        try await Rig.with { rig in
            _ = await rig.start("declared", capabilities: Self.able).reply()
            let other = rig.start("hang")
            await eventually("the other call is open") { await rig.inFlight("s") == 1 }
            let first = try state(await rig.start("ask", #"{"seconds":0.01}"#, capabilities: Self.able).reply())
            await eventually("the server has done without") { await rig.inFlight("s") == 1 }
            _ = await rig.start("crash", capabilities: Self.able).reply()
            _ = await other.reply()
            var next: [(state: String, key: String, question: JSONValue)] = []
            for _ in 0..<6 { next.append(try state(await rig.start("ask", capabilities: Self.able).reply())) }
            let late = await rig.start(
                "ask", #"{"seconds":0.01}"#, capabilities: Self.able,
                more: #","requestState":\#(first.state),"inputResponses":{"\#(first.key)":{"action":"accept","content":{"n":-1}}}"#
            ).reply()
            #expect(late.json?[0]?["message"] == "silence", "\(late)")
            for (number, asked) in next.enumerated() {
                let answer = await rig.start(
                    "ask", capabilities: Self.able,
                    more: #","requestState":\#(asked.state),"inputResponses":{"\#(asked.key)":{"action":"accept","content":{"n":\#(number)}}}"#
                ).reply()
                #expect(answer.json?[0]?["content"]?["n"]?.intValue == number, "\(answer)")
            }
        }
    }

    /// A wait is for a call of a process that is there. It starts none, and makes no child.
    @Test func aWaitStartsNothing() async throws {
        try await Rig.with { rig in
            let wait = #","requestState":"0123","inputResponses":{"berth/wait":{}}"#
            func waited() async -> Undelivered.Kind? { await rig.start("ask", capabilities: Self.able, more: wait).reply().failure?.kind }
            #expect(await waited() == .outcomeUnknown)
            #expect(await rig.reports().isEmpty)
            _ = try state(await rig.start("ask", capabilities: Self.able).reply())
            #expect(await rig.start("crash", capabilities: Self.able).reply().failure?.kind == .outcomeUnknown)
            await eventually("the process is gone") { await rig.reports().allSatisfy { $0.pid == nil } }
            #expect(await waited() == .outcomeUnknown)
            #expect(await rig.reports().map(\.starts) == [1])
        }
    }

    /// Its next process is told what the first one was: a client that says more has a child of its own, and its questions there.
    @Test func aProcessToComeIsToldWhatTheFirstClientSaid() async throws {
        try await Rig.with { rig in
            _ = await rig.start("declared").reply()
            let first = try state(await rig.start("ask", capabilities: Self.able).reply())
            #expect(await rig.start("crash").reply().failure?.kind == .outcomeUnknown)
            await eventually("the plain one's process is gone") { await rig.reports().contains { $0.pid == nil } }
            #expect(await rig.start("declared", capabilities: Self.able).reply().json?["sampling"] != nil)
            let again = await rig.start("ask", capabilities: Self.able, more: Self.accepting(first)).reply()
            #expect(again.json?[0]?["action"]?.stringValue == "accept", "\(again)")
        }
    }

    private static func accepting(_ round: (state: String, key: String, question: JSONValue)) -> String {
        #","requestState":\#(round.state),"inputResponses":{"\#(round.key)":{"action":"accept","content":{}}}"#
    }

    /// Who takes no new call yet has its old ones: what their client answers is for it.
    @Test(.tags(.failure20)) func whoLeavesHasItsAnswer() async throws {
        try await Rig.with { rig in
            let pid = await rig.start("identity", capabilities: Self.able).reply().json?["pid"]?.intValue
            let first = try state(await rig.start("ask", capabilities: Self.able).reply())
            let wait = rig.start(
                "ask", capabilities: Self.able, more: #","requestState":\#(first.state),"inputResponses":{"berth/wait":{}}"#)
            // With other credentials the session has another child.
            let other = await rig.start("identity", fingerprint: "f", capabilities: Self.able).reply()
            #expect(other.json?["pid"]?.intValue != pid)
            let again = await rig.start("ask", fingerprint: "f", capabilities: Self.able, more: Self.accepting(first)).reply()
            #expect(again.json?[0]?["action"]?.stringValue == "accept", "\(again)")
            #expect(await wait.reply() == .result(["resultType": "berth/settled"]))
            await eventually("then it leaves") { await rig.reports().count == 1 }

            let last = try state(await rig.start("ask", fingerprint: "f", capabilities: Self.able).reply())
            _ = await rig.on { $0.drain {} }
            #expect(await rig.start("echo", fingerprint: "f", capabilities: Self.able).reply().failure?.reason == "draining")
            let answer = await rig.start("ask", fingerprint: "f", capabilities: Self.able, more: Self.accepting(last)).reply()
            #expect(answer.json?[0]?["action"]?.stringValue == "accept", "\(answer)")
            await eventually("nothing is left") { await rig.reports().isEmpty }
        }
    }

    /// One that is made to leave for another principal's session too.
    @Test(.tags(.failure20)) func whoMakesRoomHasItsAnswer() async throws {
        try await Rig.with(limits: { ($0.children, $0.patience) = (2, .milliseconds(10)) }) { rig in
            func ask(_ session: String, _ more: String = "") async -> Reply {
                await rig.start("ask", session: session, owner: "ann", capabilities: Self.able, more: more).reply()
            }
            let rounds = [try state(await ask("a")), try state(await ask("b"))]
            let bob = rig.start("echo", #"{"text":"bob"}"#, session: "c", owner: "bob", capabilities: Self.able)
            await eventually("one is to leave") { await rig.on { $0.leaving.count == 1 } == true }
            for (session, round) in zip(["a", "b"], rounds) {
                let again = await ask(session, Self.accepting(round))
                #expect(again.json?[0]?["action"]?.stringValue == "accept", "\(session): \(again)")
            }
            #expect(await bob.reply().text == "bob")
        }
    }

    @Test func anotherSessionsStateIsWorthNothing() async throws {
        try await Rig.with { rig in
            let first = try state(await rig.start("ask", session: "a", capabilities: Self.able).reply())
            let stolen = await rig.start(
                "ask", session: "b", capabilities: Self.able,
                more: #","requestState":\#(first.state),"inputResponses":{"\#(first.key)":{"action":"accept","content":{}}}"#).reply()
            #expect(stolen == .error(-32602, "Invalid params: requestState is unknown, was used before, has expired, or belongs to another request"))
        }
    }
}
