import NIOCore
import NIOHTTP1
import Testing

@testable import Wire

@Suite(.timeLimit(.minutes(5))) struct ServerTests {
    private static let answer = "HTTP/1.1 200 OK\nx-test: yes\ncontent-length: 7\n\nGET /a "
    private static let get = "GET /a HTTP/1.1\nHost: h\n\n"

    @Test func oneConnectionServesManyRequests() async throws {
        let server = try await TestServer.echo()
        let client = try await server.connect()
        for _ in 0..<3 {
            try await client.send(Self.get)
            #expect(try await client.read(through: "GET /a ") == Self.answer)
        }
        try await client.send("POST /b?c HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n2\nhe\n3\nllo\n0\n\n")
        #expect(try await client.read(through: "hello").hasSuffix("\n\nPOST /b?c hello"))
        await server.stop()
    }

    @Test func everySplitOfARequestIsTheSame() async throws {
        let server = try await TestServer.echo()
        let client = try await server.connect()
        for pieces in wire("POST /a HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc").everySplit {
            for piece in pieces where piece.readableBytes > 0 { try await client.send(piece) }
            #expect(try await client.read(through: "abc").hasSuffix("\n\nPOST /a abc"))
        }
        await server.stop()
    }

    @Test func laterRequestsWaitForTheirTurn() async throws {
        let exchanges = Exchanges()
        let server = try await TestServer.start { exchanges.put($0) }
        let client = try await server.connect()
        try await client.send("GET /1 HTTP/1.1\nHost: h\n\nPOST /2 HTTP/1.1\nHost: h\nContent-Length: 1\n\nxGET /3 HTTP/1.1\nHost: h\n\n")
        for index in 1...3 {
            let exchange = try await exchanges.next()
            #expect(try await exchange.on { $0.uri } == "/\(index)")
            try await exchange.on { $0.reply(status: 200, headers: [], body: ByteBuffer(string: "answer\(index)")) }
            // Had the next one been served early, its answer would stand in front.
            #expect(try await client.read(through: "answer\(index)") == "HTTP/1.1 200 OK\ncontent-length: 7\n\nanswer\(index)")
        }
        await server.stop()
    }

    @Test func headRequestsGetNoBody() async throws {
        let server = try await TestServer.echo()
        let client = try await server.connect()
        try await client.send("HEAD /a HTTP/1.1\nHost: h\n\n" + Self.get)
        #expect(try await client.read(through: "\n\n") == "HTTP/1.1 200 OK\nx-test: yes\ncontent-length: 8\n\n")
        #expect(try await client.read(through: "GET /a ") == Self.answer)
        await server.stop()
    }

    @Test(arguments: [
        ("GET /a HTTP/1.1\nHost: h\nConnection: close\n\n", "connection: close"), ("GET /a HTTP/1.0\n\n", "connection: close"),
        ("GET /a HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: h2c\n\n", "connection: close"),
    ]) func closesWhenTheClientWantsIt(request: String, field: String) async throws {
        let server = try await TestServer.echo()
        let client = try await server.connect()
        try await client.send(request)
        let all = await client.readToEnd()
        #expect(all.contains(field + "\n"))
        #expect(all.hasSuffix("\n\nGET /a "))
        await server.stop()
    }

    @Test func olderClientsMayKeepTheConnection() async throws {
        let server = try await TestServer.echo()
        let client = try await server.connect()
        for _ in 0..<2 {
            try await client.send("GET /a HTTP/1.0\nConnection: keep-alive\n\n")
            #expect(try await client.read(through: "GET /a ").contains("connection: keep-alive\n"))
        }
        await server.stop()
    }

    @Test func framingIsNotTheDelegates() async throws {
        let server = try await TestServer.start {
            $0.reply(
                status: 201, headers: [("Content-Length", "99"), ("Transfer-Encoding", "x"), ("Connection", "y"), ("Location", "/z\r\nEvil: 1")],
                body: nil)
        }
        let client = try await server.connect()
        try await client.send(Self.get)
        #expect(try await client.read(through: "\n\n") == "HTTP/1.1 201 Created\nLocation: /z  Evil: 1\ncontent-length: 0\n\n")
        await server.stop()
    }

    @Test func answersOnlyOnce() async throws {
        let server = try await TestServer.start { exchange in
            exchange.reply(status: 200, headers: [], body: nil)
            exchange.reply(status: 500, headers: [], body: nil)
            exchange.event(ByteBuffer(string: "late"))
            exchange.closeStream()
            exchange.abort()
            #expect(exchange.isFinished)
        }
        let client = try await server.connect()
        for _ in 0..<2 {
            try await client.send(Self.get)
            #expect(try await client.read(through: "\n\n") == "HTTP/1.1 200 OK\ncontent-length: 0\n\n")
        }
        await server.stop()
    }

    @Test func expectationsAreMet() async throws {
        let server = try await TestServer.echo()
        let client = try await server.connect()
        let head = "POST /a HTTP/1.1\nHost: h\nExpect: 100-Continue\nContent-Length: 3\n\n"
        for _ in 0..<2 {
            try await client.send(head)
            #expect(try await client.read(through: "\n\n") == "HTTP/1.1 100 Continue\n\n")
            try await client.send("abc")
            #expect(try await client.read(through: "abc").hasPrefix("HTTP/1.1 200 OK\n"))
        }
        try await client.send("POST /a HTTP/1.1\nHost: h\nExpect: tea\nContent-Length: 3\n\n")
        #expect(await client.readToEnd().hasPrefix("HTTP/1.1 417 Expectation Failed\n"))
        await server.stop()
    }

    @Test(arguments: [
        "POST / HTTP/1.1\nHost: h\nContent-Length: 11\nExpect: 100-continue\n\n", "POST / HTTP/1.1\nHost: h\nContent-Length: 11\n\n01234567890",
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n6\n123456\n5\n12345\n0\n\n",
    ]) func largeBodiesAreRefused(request: String) async throws {
        var limits = ServerLimits()
        limits.bodyBytes = 10
        let server = try await TestServer.echo(limits: limits)
        let client = try await server.connect()
        try await client.send(request)
        let all = await client.readToEnd()
        #expect(all.hasPrefix("HTTP/1.1 413 Content Too Large\n"))
        #expect(all.contains("connection: close\n"))
        await server.stop()
    }

    @Test func theDelegateDecidesOnTheHead() async throws {
        let server = try await TestServer.start(
            admit: { head in
                switch head.uri {
                case "/secret": .refuse(status: 401, headers: [("www-authenticate", "Bearer")], body: ByteBuffer(string: "no"))
                case "/small": .accept(bodyLimit: 1)
                default: .accept(bodyLimit: 5_000_000)
                }
            }, handle: { $0.reply(status: 200, headers: [], body: ByteBuffer(string: "\($0.body.readableBytes)")) })
        func answer(_ path: String, _ length: Int, sends body: ByteBuffer? = nil) async throws -> String {
            let client = try await server.connect()
            try await client.send("POST \(path) HTTP/1.1\nHost: h\nConnection: close\nContent-Length: \(length)\n\n")
            if let body { try await client.send(body) }
            return await client.readToEnd()
        }
        #expect(
            try await answer("/secret", 50_000_000)
                == "HTTP/1.1 401 Unauthorized\nwww-authenticate: Bearer\ncontent-length: 2\nconnection: close\n\nno")
        #expect(try await answer("/small", 2).hasPrefix("HTTP/1.1 413 "))
        #expect(try await answer("/large", 4_500_000, sends: ByteBuffer(repeating: 1, count: 4_500_000)).hasSuffix("\n\n4500000"))
        await server.stop()
    }

    /// What the strict parser of the private hop refuses, the public side refuses too, and nothing behind it is served.
    /// (NIO's decoder forgives an empty line before a request and two spaces after the method, which mislead nobody.)
    @Test(
        arguments: HeadTests.refused.filter { $0.1 != .truncated && !$0.0.hasSuffix("rest") && !$0.0.hasPrefix("\r\n") && !$0.0.hasPrefix("GET  ") })
    func smugglersAreRefused(text: String, error: HTTPError) async throws {
        let server = try await TestServer.echo()
        let client = try await server.connect()
        try await client.send(ByteBuffer(string: text + "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n"))
        let all = await client.readToEnd()
        #expect(all.hasPrefix("HTTP/1.1 4") || all.hasPrefix("HTTP/1.1 5"), "\(text.debugDescription) → \(all.debugDescription)")
        #expect(!all.contains("behind") && !all.contains(" 200 "), "\(text.debugDescription) → \(all.debugDescription)")
        await server.stop()
    }

    @Test func headsAreBounded() async throws {
        let server = try await TestServer.echo()
        for head in [String(repeating: "X: y\n", count: 101), "X: " + String(repeating: "y", count: 70_000) + "\n"] {
            let client = try await server.connect()
            try await client.send("GET / HTTP/1.1\nHost: h\n\(head)\n")
            #expect(await client.readToEnd().hasPrefix("HTTP/1.1 431 "))
        }
        await server.stop()
    }

    @Test func anAnswerInProgressSurvivesRubbishBehindIt() async throws {
        let exchanges = Exchanges()
        let server = try await TestServer.start { exchanges.put($0) }
        let client = try await server.connect()
        try await client.send(Self.get + "rubbish\n\n")
        let exchange = try await exchanges.next()
        try await exchange.on { $0.reply(status: 200, headers: [], body: ByteBuffer(string: "fine")) }
        let all = await client.readToEnd()
        #expect(all.hasPrefix("HTTP/1.1 200 OK\n") && all.hasSuffix("\n\nfine"))
        await server.stop()
    }

    @Test func whiteSpaceAroundAValueIsNotOfIt() async throws {
        let server = try await TestServer.start {
            $0.reply(status: 200, headers: [], body: ByteBuffer(string: $0.headers("x-token").map { "[\($0)]" }.joined()))
        }
        let client = try await server.connect()
        try await client.send("GET / HTTP/1.1\nHost: h \nX-Token: \t a b \t\nConnection: close\nx-token:  \n\n")
        #expect(await client.readToEnd().hasSuffix("\n\n[a b][]"))
        await server.stop()
    }

    @Test func repeatedHeadersAreVisible() async throws {
        let server = try await TestServer.start {
            $0.reply(status: 200, headers: [], body: ByteBuffer(string: $0.headers("x-token").joined(separator: "|")))
        }
        let client = try await server.connect()
        try await client.send("GET / HTTP/1.1\nHost: h\nX-Token: a\nConnection: close\nx-token: b\n\n")
        #expect(await client.readToEnd().hasSuffix("\n\na|b"))
        await server.stop()
    }
}
