import MCP
import NIOCore
import NIOPosix
import Testing
import TestSupport

@testable import Standalone

/// What nobody uses or answers has an end.
struct TimeLimitTests {
    private static let call = #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"hang","arguments":{}}}"#

    @Test func aCallThatIsNeverAnsweredEnds() async throws {
        try await StandaloneRig.with(configure: { $0.callLimit = .seconds(2) }) { rig in
            let headers = try await rig.session()
            // Its process has started, so that the limit falls into the call.
            _ = try await rig.post(#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, headers)
            let answer = try await rig.post(Self.call, headers)
            #expect(answer.body.contains("the server did not answer in time"), "\(answer)")
        }
    }

    @Test func subscriptionsAndShorterDeadlinesStayAsTheyAre() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let seen = try await loop.submit { () throws -> [NIODeadline?] in
            let next = Recorder(loop)
            let limit = CallLimit(next: next, limit: .hours(1))
            let soon = NIODeadline.now() + .seconds(5)
            for (method, deadline) in [("subscriptions/listen", nil), ("tools/list", soon), ("tools/list", nil)] as [(String, NIODeadline?)] {
                _ = limit.call(MCPRequest(method: method), in: CallContext(session: SessionKey(id: "s"), deadline: deadline), sink: next)
            }
            #expect(next.deadlines.first == .some(nil) && next.deadlines[1] == soon)
            return next.deadlines
        }.get()
        #expect(seen.count == 3 && seen[2] != nil)
    }

    @Test(arguments: [true, false]) func aSessionHasAnEnd(isIdle: Bool) async throws {
        try await StandaloneRig.with(configure: { if isIdle { $0.sessionIdle = .zero } else { $0.sessionAge = .zero } }) { rig in
            let headers = try await rig.session()
            let answer = try await rig.post(#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, headers)
            #expect(answer.status == 404, "\(answer)")
        }
    }
}

private final class Recorder: MCPService, MCPSink {
    let eventLoop: any EventLoop
    var deadlines: [NIODeadline?] = []

    init(_ loop: any EventLoop) { eventLoop = loop }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        deadlines.append(context.deadline)
        return EndedCall()
    }

    func notification(_ message: ByteBuffer) -> Demand { .more }
    func finish(_ outcome: consuming MCPOutcome) {}
}
