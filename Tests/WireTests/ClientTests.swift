import NIOCore
import NIOPosix
import Testing

@testable import Wire

@Suite(.timeLimit(.minutes(5))) struct ClientTests {
    private func collect(_ client: HTTPClient, _ method: String, _ path: String, body: ByteBuffer? = nil, _ endpoint: Endpoint) async throws -> String
    {
        try await client.execute(method, path, body: body, to: endpoint).collect(upTo: 1 << 20).text
    }

    @Test func sendsAndCollects() async throws {
        let server = try await TestServer.start {
            let text =
                "\($0.method) \($0.uri) \($0.header("host") ?? "") \($0.header("content-length") ?? "-") \($0.header("x-a") ?? "-") \($0.body.text)"
            $0.reply(status: 200, headers: [("x-answer", "yes")], body: ByteBuffer(string: text))
        }
        let client = HTTPClient()
        let host = server.endpoint.hostHeader
        #expect(try await collect(client, "POST", "/p?q", body: ByteBuffer(string: "hello"), server.endpoint) == "POST /p?q \(host) 5 - hello")
        #expect(try await collect(client, "POST", "/p", server.endpoint) == "POST /p \(host) 0 - ")
        #expect(try await collect(client, "GET", "/p", server.endpoint) == "GET /p \(host) - - ")
        let answer = try await client.execute("GET", "/", headers: [("Host", "other"), ("X-A", "b")], to: server.endpoint)
        #expect(answer.status == 200)
        #expect(answer.headers["X-Answer"] == "yes")
        #expect(try await answer.collect(upTo: 1_000).text == "GET / other - b ")
        let head = try await client.execute("HEAD", "/", to: server.endpoint)
        #expect(try await head.collect(upTo: 0).readableBytes == 0)
        await client.shutdown()
        await server.stop()
    }

    @Test func linesComeWhenTheyAreWritten() async throws {
        let exchanges = Exchanges()
        let server = try await TestServer.start { exchange in
            exchange.openBody(status: 200, headers: [])
            exchanges.put(exchange)
        }
        let client = HTTPClient(eventLoopGroup: testLoops)
        let answer = try await client.execute("POST", "/", to: server.endpoint)
        let exchange = try await exchanges.next()
        var lines = answer.lines.makeAsyncIterator()
        try await exchange.on { _ = $0.write(ByteBuffer(string: "{\"a\":1}\n{\"b\"")) }
        #expect(try await lines.next()?.text == "{\"a\":1}")
        try await exchange.on { _ = $0.write(ByteBuffer(string: ":2}\r\n\n\nlast")) }
        #expect(try await lines.next()?.text == "{\"b\":2}")
        try await exchange.on { $0.closeStream() }
        #expect(try await lines.next()?.text == "last")
        #expect(try await lines.next() == nil)
        await client.shutdown()
        await server.stop()
    }

    @Test func largeAnswersAreRefusedAndHeldBack() async throws {
        let gone = Signal()
        let server = try await TestServer.start { exchange in
            exchange.onClientGone = { gone.fire() }
            let piece = ByteBuffer(repeating: 0, count: 1 << 20)
            exchange.openBody(status: 200, headers: [])
            while exchange.write(piece) {}
        }
        let client = HTTPClient(eventLoopGroup: testLoops)
        let answer = try await client.execute("GET", "/", to: server.endpoint)
        await #expect(throws: HTTPClientError.responseTooLarge(limit: 1_000)) { try await answer.collect(upTo: 1_000) }
        _ = consume answer
        await gone.wait()
        await client.shutdown()
        await server.stop()
    }

    @Test func aWholeLargeAnswerComesThrough() async throws {
        let size = 24 << 20
        let server = try await TestServer.start { $0.reply(status: 200, headers: [], body: ByteBuffer(repeating: 7, count: size)) }
        let client = HTTPClient(eventLoopGroup: testLoops)
        var count = 0
        for try await piece in try await client.execute("GET", "/", to: server.endpoint).body { count += piece.readableBytes }
        #expect(count == size)
        await client.shutdown()
        await server.stop()
    }

    @Test func cancellationReachesTheServer() async throws {
        let gone = Signal()
        let arrived = Signal()
        let server = try await TestServer.start { exchange in
            exchange.onClientGone = { gone.fire() }
            if exchange.uri == "/stream" { exchange.openBody(status: 200, headers: []) }
            arrived.fire()
        }
        let client = HTTPClient(eventLoopGroup: testLoops)
        let endpoint = server.endpoint
        for path in ["/silent", "/stream"] {
            let task = Task { try await client.execute("GET", path, to: endpoint).collect(upTo: 10) }
            await arrived.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            await gone.wait()
        }
        let early = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.execute("GET", "/", to: endpoint)
        }
        await #expect(throws: CancellationError.self) { try await early.value }
        await client.shutdown()
        await server.stop()
    }

    @Test func aHeadThatDoesNotComeTimesOut() async throws {
        let server = try await TestServer.start { _ in }
        let client = HTTPClient(eventLoopGroup: testLoops)
        await #expect(throws: HTTPClientError.timeout(seconds: 0)) {
            try await client.execute("GET", "/", to: server.endpoint, headTimeout: .milliseconds(50))
        }
        await client.shutdown()
        await server.stop()
    }

    @Test func failuresSayWhetherTheRequestWentOut() async throws {
        let client = HTTPClient(eventLoopGroup: testLoops)
        await #expect { try await client.execute("GET", "/", to: .unix(path: socketPath())) } throws: {
            ($0 as? ExchangeFailure)?.kind == .notSent
        }
        let server = try await TestServer.start { exchange in
            exchange.event(ByteBuffer(string: "x"))
            exchange.abort()
        }
        await #expect { try await client.execute("GET", "/", to: server.endpoint).collect(upTo: 100) } throws: {
            ($0 as? ExchangeFailure)?.kind == .afterSend
        }
        await client.shutdown()
        await server.stop()
    }
}
