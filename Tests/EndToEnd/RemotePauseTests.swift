import Foundation
import JSONText
import MCP
import NIOCore
import NIOPosix
import RemoteClient
import Synchronization
import Testing
import TestSupport

/// A caller that reads slowly, where one stream carries the answers of all calls.
struct RemotePauseTests {
    /// Its stream has the answers of all calls: it is no answer's, and goes on however long ago one came.
    @Test func theStreamOfAllAnswersOutlivesEach() async throws {
        try await RemoteRig.run("eventstream") { remote in
            let address = try #require(RemoteAddress(remote.url + "?breaks"))
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            var limits = RemoteServer.Limits()
            limits.trailing = .milliseconds(1)
            let box = NIOLoopBoundBox<RemoteServer?>.makeBoxSendingValue(nil, eventLoop: loop)
            try await loop.submit { [limits] in box.value = RemoteServer(address, token: nil, limits: limits, eventLoop: loop) }.get()
            for number in 1...20 {
                let sink = Watched(pauses: false)
                try await loop.submit {
                    let request = MCPRequest(method: "tools/call", params: ["name": "echo"])
                    _ = box.value?.call(request, in: CallContext(session: SessionKey(id: "x")), sink: sink)
                }.get()
                #expect(await eventually { sink.hasResult }, "call \(number)")
            }
            await withCheckedContinuation { done in loop.execute { box.value?.close { done.resume() } } }
        }
    }

    @Test func aCallThatEndsWhileItIsPausedHoldsUpNoOther() async throws {
        try await RemoteRig.run("eventstream") { remote in
            let address = try #require(RemoteAddress(remote.url + "?breaks"))
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let (slow, quick) = (Watched(pauses: true), Watched(pauses: false))
            let box = NIOLoopBoundBox<(server: RemoteServer?, call: (any MCPCall)?)>.makeBoxSendingValue((nil, nil), eventLoop: loop)
            try await loop.submit {
                let server = RemoteServer(address, token: nil, eventLoop: loop)
                box.value.server = server
                let request = MCPRequest(method: "tools/call", params: ["name": "told", "_meta": ["progressToken": "p"]])
                box.value.call = server.call(request, in: CallContext(session: SessionKey(id: "x")), sink: slow)
            }.get()
            #expect(await eventually { slow.isTold })
            try await loop.submit {
                box.value.call?.cancel()
                _ = box.value.server?.call(
                    MCPRequest(method: "tools/call", params: ["name": "echo"]), in: CallContext(session: SessionKey(id: "x")), sink: quick)
            }.get()
            #expect(await eventually { quick.hasResult }, "the stream is read on")
            await withCheckedContinuation { done in loop.execute { box.value.server?.close { done.resume() } } }
        }
    }
}

private final class Watched: MCPSink, Sendable {
    private let pauses: Bool
    private let state = Mutex((isTold: false, hasResult: false))

    init(pauses: Bool) { self.pauses = pauses }

    var isTold: Bool { state.withLock(\.isTold) }
    var hasResult: Bool { state.withLock(\.hasResult) }

    func notification(_ message: ByteBuffer) -> Demand {
        state.withLock { $0.isTold = true }
        return pauses ? .pause : .more
    }

    func finish(_ outcome: consuming MCPOutcome) {
        if case .result = outcome { state.withLock { $0.hasResult = true } }
    }
}
