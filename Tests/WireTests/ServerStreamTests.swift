import Glibc
import NIOCore
import TestSupport
import Testing

@testable import Wire

@Suite(.timeLimit(.minutes(5))) struct ServerStreamTests {
    private static let get = "GET /s HTTP/1.1\nHost: h\n\n"
    private static let eventHead = """
        HTTP/1.1 200 OK
        content-type: text/event-stream
        cache-control: no-store, no-transform
        x-accel-buffering: no
        x-more: 1
        transfer-encoding: chunked


        """

    @Test(.tags(.failure14)) func eventsAreChunksAndTheConnectionLivesOn() async throws {
        let large = String(repeating: "x", count: 20_000)
        let server = try await TestServer.start { exchange in
            exchange.openStream(headers: [("x-more", "1")])
            exchange.event(ByteBuffer(string: "{}"), id: "7")
            exchange.event(ByteBuffer(string: "a\nb"))
            exchange.event(ByteBuffer(string: large))
            exchange.closeStream()
        }
        let client = try await server.connect()
        for _ in 0..<2 {
            try await client.send(Self.get)
            #expect(try await client.read(through: "\n\n") == Self.eventHead)
            var body = BodyDecoder(.chunked)
            var reader = SSEReader()
            var input = try await client.readBytes(through: "\r\n0\r\n\r\n")
            while case .data(let part) = try body.next(&input) { reader.feed(part) }
            #expect(input.readableBytes == 0)
            #expect(try reader.next() == SSEEvent(data: ByteBuffer(string: "{}"), id: "7"))
            #expect(try reader.next() == SSEEvent(data: ByteBuffer(string: "a\nb"), id: "7"))
            #expect(try reader.next() == SSEEvent(data: ByteBuffer(string: large), id: "7"))
        }
        await server.stop()
    }

    @Test(.tags(.failure04, .failure15)) func silentStreamsGetComments() async throws {
        var limits = ServerLimits()
        limits.keepAliveInterval = .milliseconds(20)
        let server = try await TestServer.start(limits: limits) { $0.openStream(headers: []) }
        let client = try await server.connect()
        try await client.send(Self.get)
        for _ in 0..<3 { #expect(try await client.readBytes(through: ": keep-alive\n\n").text.hasSuffix(": keep-alive\n\n")) }
        await server.stop()
    }

    @Test func olderClientsFindTheEndByTheClose() async throws {
        let server = try await TestServer.start { exchange in
            exchange.openBody(status: 200, headers: [("content-type", "application/x-ndjson")])
            exchange.write(ByteBuffer(string: "{}\n"))
            exchange.write(ByteBuffer())
            exchange.closeStream()
        }
        let client = try await server.connect()
        try await client.send("GET /s HTTP/1.0\nConnection: keep-alive\n\n")
        #expect(
            await client.readToEnd() == "HTTP/1.1 200 OK\ncontent-type: application/x-ndjson\nconnection: close\n\n{}\n")
        await server.stop()
    }

    @Test func aClientThatGoesIsToldOnce() async throws {
        let exchanges = Exchanges()
        let gone = Signal()
        let server = try await TestServer.start { exchange in
            exchange.onClientGone = { gone.fire() }
            exchange.event(ByteBuffer(string: "one"))
            exchanges.put(exchange)
        }
        let client = try await server.connect()
        try await client.send(Self.get)
        _ = try await client.read(through: "one")
        let exchange = try await exchanges.next()
        await client.close()
        await gone.wait()
        #expect(try await exchange.on { $0.isFinished && $0.onClientGone == nil && $0.event(ByteBuffer(string: "late")) })
        await server.stop()
    }

    @Test func abortIsVisiblyIncomplete() async throws {
        let server = try await TestServer.start { exchange in
            exchange.event(ByteBuffer(string: "one"))
            exchange.abort()
        }
        let client = try await server.connect()
        try await client.send(Self.get)
        #expect(!(await client.readToEnd().hasSuffix("0\n\n")))
        await server.stop()
    }

    @Test func slowClientsPauseTheirProducer() async throws {
        let exchanges = Exchanges()
        let resumed = Signal()
        let server = try await TestServer.start { exchange in
            exchange.onResume = { resumed.fire() }
            exchanges.put(exchange)
        }
        let client = try await server.connect(autoRead: false)
        try await client.send(Self.get)
        let exchange = try await exchanges.next()
        let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 20)
        var sent = 0
        while try await exchange.on({ $0.event(piece) }) { sent += 1 }
        #expect(sent < 64)
        try await client.channel.setOption(.autoRead, value: true).get()
        await resumed.wait()
        try await exchange.on { $0.closeStream() }
        _ = try await client.read(through: "0\n\n")
        await server.stop()
    }

    @Test(.tags(.failure04)) func clientsThatReadNothingAreCut() async throws {
        var limits = ServerLimits()
        limits.stallTimeout = .milliseconds(100)
        let gone = Signal()
        let server = try await TestServer.start(limits: limits) { exchange in
            exchange.onClientGone = { gone.fire() }
            let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 20)
            while exchange.event(piece) {}
        }
        let client = try await server.connect(autoRead: false)
        try await client.send(Self.get)
        await gone.wait()
        await client.close()
        await server.stop()
    }

    /// Whoever asks on and on without reading gets no further answers made.
    @Test func unreadAnswersHoldTheNextRequestBack() async throws {
        let served = Signal()
        let server = try await TestServer.start { exchange in
            served.fire()
            exchange.reply(status: 200, headers: [], body: ByteBuffer(repeating: UInt8(ascii: "x"), count: 32 << 20))
        }
        let client = try await server.connect(autoRead: false)
        try await client.send(Self.get + Self.get)
        await served.wait()
        try await client.channel.setOption(.autoRead, value: true).get()
        _ = try await client.read(count: 32 << 20)
        await served.wait()
        _ = try await client.read(count: 32 << 20)
        await server.stop()
    }
}
