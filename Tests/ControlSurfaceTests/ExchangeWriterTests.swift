import ControlSurface
import Glibc
import Hummingbird
import NIOCore
import NIOPosix
import Testing
import Wire

/// Gives every exchange to a closure in a task.
private final class TaskDelegate: ServerDelegate {
    private let body: @Sendable (ExchangeWriter) async -> Void

    init(_ body: @escaping @Sendable (ExchangeWriter) async -> Void) {
        self.body = body
    }

    func handle(_ exchange: ServerExchange) { ExchangeWriter.answer(exchange, body) }
}

private func serve(_ body: @escaping @Sendable (ExchangeWriter) async -> Void) async throws -> (server: PublicServer, endpoint: Endpoint) {
    let server = try await PublicServer.bind(.tcp(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton) { _ in
        TaskDelegate(body)
    }
    return (server, .tcp(host: "127.0.0.1", port: server.port ?? 0))
}

@Suite(.timeLimit(.minutes(5))) struct ExchangeWriterTests {
    @Test func writesARoutersResponse() async throws {
        let (server, endpoint) = try await serve { writer in
            let body = ResponseBody { writer in
                for word in ["one\n", "two\n"] { try await writer.write(ByteBuffer(string: word)) }
                try await writer.finish(nil)
            }
            _ = await writer.answer { Response(status: .accepted, headers: [.contentType: "text/plain"], body: body) }
        }
        let client = HTTPClient()
        let answer = try await client.execute("GET", "/", to: endpoint)
        #expect(answer.status == 202 && answer.headers["content-type"] == "text/plain" && answer.headers["content-length"] == nil)
        #expect(String(buffer: try await answer.collect(upTo: 100)) == "one\ntwo\n")
        await client.shutdown()
        await server.close()
    }

    @Test func writesAKnownLengthAtOnce() async throws {
        let (server, endpoint) = try await serve { writer in
            _ = await writer.answer { Response(status: .ok, body: .init(byteBuffer: ByteBuffer(string: "whole"))) }
        }
        let client = HTTPClient()
        let answer = try await client.execute("GET", "/", to: endpoint)
        #expect(answer.headers["content-length"] == "5")
        #expect(String(buffer: try await answer.collect(upTo: 100)) == "whole")
        await client.shutdown()
        await server.close()
    }

    @Test func whatIsNotAnsweredIsA500() async throws {
        let (server, endpoint) = try await serve { await $0.finish() }
        let client = HTTPClient()
        #expect(try await client.execute("GET", "/", to: endpoint).status == 500)
        await client.shutdown()
        await server.close()
    }

    @Test func whatIsCutHasNoEnd() async throws {
        let (server, endpoint) = try await serve { writer in
            await writer.open(status: 200, headers: [])
            try? await writer.write(ByteBuffer(string: "half"))
            writer.cut()
        }
        let client = HTTPClient()
        await #expect(throws: ExchangeFailure.self) { try await client.execute("GET", "/", to: endpoint).collect(upTo: 100) }
        await client.shutdown()
        await server.close()
    }

    /// Lines have no end mark of their own: only the body's end says that these were all.
    @Test func anAnswerThatBreaksOffHasNoEnd() async throws {
        let (reasons, continuation) = AsyncStream.makeStream(of: Bool.self)
        let (server, endpoint) = try await serve { writer in
            let body = ResponseBody { writer in
                try await writer.write(ByteBuffer(string: "{}\n"))
                throw Broken()
            }
            continuation.yield(await writer.answer { Response(status: .ok, body: body) } is Broken)
        }
        let client = HTTPClient()
        let answer = try await client.execute("GET", "/", to: endpoint)
        #expect(answer.status == 200)
        await #expect(throws: ExchangeFailure.self) { try await answer.collect(upTo: 100) }
        #expect(await reasons.first { _ in true } == true, "the caller hears why")
        await client.shutdown()
        await server.close()
    }

    @Test func whatCannotBeAnsweredIsA500() async throws {
        let (server, endpoint) = try await serve { _ = await $0.answer { throw Broken() } }
        let client = HTTPClient()
        #expect(try await client.execute("GET", "/", to: endpoint).status == 500)
        await client.shutdown()
        await server.close()
    }

    // MARK: Revocation

    /// A stream ends at once, or as it begins.
    @Test(arguments: [true, false]) func aRevokedStreamIsCut(whileItGoesOn: Bool) async throws {
        let (ended, continuation) = AsyncStream.makeStream(of: Bool.self)
        let (server, endpoint) = try await serve { writer in
            if !whileItGoesOn { writer.revoke() }
            await writer.open(status: 200, headers: [])
            if whileItGoesOn { writer.revoke() }
            // The task is told, so that what waits for something else than the client ends too.
            while !Task.isCancelled { await Task.yield() }
            await #expect(throws: CancellationError.self) { try await writer.write(ByteBuffer(string: "secret")) }
            await writer.finish()
            continuation.yield(true)
        }
        let client = HTTPClient()
        await #expect(throws: ExchangeFailure.self) { try await client.execute("GET", "/", to: endpoint).collect(upTo: 100) }
        #expect(await ended.first { _ in true } == true)
        await client.shutdown()
        await server.close()
    }

    /// The answer to the revocation itself.
    @Test func aWholeAnswerIsNotTakenBack() async throws {
        let (server, endpoint) = try await serve { writer in
            writer.revoke()
            _ = await writer.answer { Response(status: .ok, body: .init(byteBuffer: ByteBuffer(string: "revoked"))) }
        }
        let client = HTTPClient()
        #expect(String(buffer: try await client.execute("GET", "/", to: endpoint).collect(upTo: 100)) == "revoked")
        await client.shutdown()
        await server.close()
    }

    /// A client that does not read holds the writer, not the memory; a drain and the client's end let it go.
    @Test(arguments: [true, false]) func aWriterThatWaitsIsLetGo(byDrain: Bool) async throws {
        let (ended, continuation) = AsyncStream.makeStream(of: Int.self)
        let (server, endpoint) = try await serve { writer in
            await writer.open(status: 200, headers: [])
            var written = 0
            do {
                while written < 1_000 {
                    try await writer.write(ByteBuffer(repeating: 0, count: 1 << 20))
                    written += 1
                }
            } catch {
                #expect(error is CancellationError && Task.isCancelled)
            }
            continuation.yield(written)
        }
        guard case .tcp(let host, let port) = endpoint else { return }
        let arrived = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: Void.self)
        let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(FirstRead(arrived)) }
            }
            .connect(host: host, port: port).get()
        try await client.writeAndFlush(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        // The head arrives, so the writer is at work; nothing more is read.
        client.read()
        try await arrived.futureResult.get()
        async let closed: Void = byDrain ? server.close(drain: .milliseconds(200)) : client.close()
        let written = await ended.first { _ in true }
        #expect((written ?? 1_000) < 1_000)
        try await closed
        if byDrain { try? await client.close() } else { await server.close(drain: .zero) }
    }
}

private struct Broken: Error {}

/// Tells that something came.
private final class FirstRead: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let arrived: EventLoopPromise<Void>

    init(_ arrived: EventLoopPromise<Void>) { self.arrived = arrived }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { arrived.succeed() }

    func channelInactive(context: ChannelHandlerContext) { arrived.fail(ChannelError.eof) }
}
