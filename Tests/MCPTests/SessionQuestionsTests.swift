import JSONText
import NIOCore
import NIOEmbedded
import Testing

@testable import MCP

/// What a session's client was asked outside of calls, while it is not answered.
struct SessionQuestionsTests {
    private let front = FrontBench(FrontSettings(sessionsHaveServers: true))

    private func stream(_ session: String, version: String = "2025-11-25") -> RecordingExchange {
        var request = FrontRequest(verb: .get)
        (request.accept, request.sessionID, request.protocolVersion) = ("text/event-stream", session, version)
        return front.send(request)
    }

    /// A session that was asked under the handle `h`, and its listener.
    private func asked() throws -> (session: String, exchange: RecordingExchange, listen: RecordingService.Call) {
        let session = front.open(version: "2025-11-25", capabilities: #"{"roots":{}}"#)
        let exchange = stream(session)
        let listen = try #require(front.service.calls.last)
        _ = listen.sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        _ = listen.sink.notification(SessionWords.asking(InputRequest(key: "answer", method: "roots/list", params: nil), handle: "h"))
        #expect(exchange.lastEvent?["method"] == "roots/list")
        return (session, exchange, listen)
    }

    /// A client that has gone is not waited for longer than for its return.
    @Test func aClientThatHasGoneIsNotWaitedFor() throws {
        let (session, exchange, listen) = try asked()
        exchange.onClientGone?()
        front.service.loop.advanceTime(by: .seconds(40))
        #expect(front.service.calls.last === listen)
        front.service.loop.advanceTime(by: .seconds(40))
        let refusal = try #require(front.service.calls.last)
        #expect(refusal.request.method == "berth/answer" && refusal.params["requestState"] == "h")
        #expect(refusal.params["inputResponses"]?["answer"]?["berth/error"] != nil)
        #expect(front.front.sessions[session] == nil, "nothing is kept of a session that is idle")
    }

    @Test func nothingIsKeptOfASessionThatHasEnded() throws {
        let (session, _, _) = try asked()
        front.front.sessionEnded(session)
        #expect(front.front.sessions.isEmpty)
        #expect(front.legacy(#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#, session: session).status == 202)
        #expect(front.service.calls.allSatisfy { $0.request.method != "berth/answer" })
    }

    /// It could be read where it came, and not a few levels deeper: the server hears so.
    @Test func anAnswerThatIsNestedTooDeepIsRefused() throws {
        let (session, exchange, _) = try asked()
        let id = try #require(exchange.lastEvent?["id"]).text
        let deep = String(repeating: "[", count: 61) + String(repeating: "]", count: 61)
        #expect(front.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"roots":[],"_meta":\#(deep)}}"#, session: session).status == 202)
        let answer = try #require(front.service.calls.last)
        #expect(answer.request.method == "berth/answer" && answer.params["requestState"] == "h")
        #expect(answer.params["inputResponses"]?["answer"]?["berth/error"] != nil)
    }

    @Test func theyAreBounded() {
        var questions = SessionQuestions()
        for number in 1...40 {
            questions.add(.init(handle: "h\(number)", method: "roots/list", context: CallContext(session: SessionKey(id: "s")), isStreams: number % 2 == 0), as: number)
        }
        #expect(questions.take(8) == nil && questions.take(9)?.handle == "h9" && questions.withdraw(handle: "h10") == 10)
        #expect(questions.withdraw(handle: "h10") == nil)
        #expect(questions.takeStreams().map(\.handle) == stride(from: 12, through: 40, by: 2).map { "h\($0)" })
        #expect(!questions.isEmpty && questions.takeStreams().isEmpty)
    }
}
