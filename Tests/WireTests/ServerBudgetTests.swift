import NIOCore
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

@testable import Wire

/// What clients may have a server hold for them.
@Suite(.timeLimit(.minutes(5))) struct ServerBudgetTests {
    private static let get = "GET /a HTTP/1.1\nHost: h\n\n"

    /// The header `payer` says who pays; a path `/big` is answered with so many bytes that no client's kernel takes them.
    private static func start(_ change: (inout ServerLimits) -> Void) async throws -> TestServer {
        var limits = ServerLimits()
        change(&limits)
        return try await TestServer.start(limits: limits, payer: { $0.headers.first(name: "payer") ?? "" }) { exchange in
            if let payer = exchange.header("payer") { exchange.trust(payer: payer) }
            let body = exchange.uri == "/big" ? ByteBuffer(repeating: UInt8(ascii: "x"), count: 32 << 20) : ByteBuffer(string: "here")
            exchange.reply(status: 200, headers: [], body: body)
        }
    }

    private static func post(_ payer: String, _ length: Int) -> String {
        "POST /a HTTP/1.1\nHost: h\nPayer: \(payer)\nContent-Length: \(length)\n\n"
    }

    // MARK: Bodies

    /// Two bodies whose ends are withheld fill the budget of one, and of nobody else.
    @Test func bodiesThatArriveCountForTheirPayer() async throws {
        let server = try await Self.start { $0.bodyBytesPerPayer = 250_000 }
        let half = ByteBuffer(repeating: UInt8(ascii: "x"), count: 100_000)
        var held: [RawPeer] = []
        for _ in 0..<2 {
            let client = try await server.connect()
            try await client.send(Self.post("alice", 110_000))
            try await client.send(half)
            held.append(client)
        }
        await eventually("both have arrived") { server.server.shared.bodies.heldBytes == 200_000 }
        let third = try await server.connect()
        try await third.send(Self.post("alice", 200_000))
        try await third.send(half)
        let refusal = await third.readToEnd()
        #expect(refusal.hasPrefix("HTTP/1.1 429 ") && refusal.contains("\nretry-after: 1\n") && refusal.contains("too_many_bytes"))

        let other = try await server.connect()
        try await other.send(Self.post("bob", 100_000))
        try await other.send(half)
        #expect(try await other.read(through: "here").hasPrefix("HTTP/1.1 200 "))

        for client in held {
            try await client.send(ByteBuffer(repeating: UInt8(ascii: "x"), count: 10_000))
            #expect(try await client.read(through: "here").hasPrefix("HTTP/1.1 200 "))
        }
        await eventually("nothing is held any more") { server.server.shared.bodies.heldBytes == 0 }
        await server.stop()
    }

    @Test func bodiesInAllAreBounded() async throws {
        let server = try await Self.start { $0.bodyBytesInAll = 150_000 }
        let first = try await server.connect()
        try await first.send(Self.post("alice", 200_000))
        try await first.send(ByteBuffer(repeating: 0, count: 100_000))
        await eventually("it has arrived") { server.server.shared.bodies.heldBytes == 100_000 }
        let second = try await server.connect()
        try await second.send(Self.post("bob", 100_000))
        try await second.send(ByteBuffer(repeating: 0, count: 100_000))
        #expect(await second.readToEnd().hasPrefix("HTTP/1.1 503 "))
        // A body that goes away with its client gives back what it took.
        await first.close()
        await eventually("there is room again") { server.server.shared.bodies.heldBytes == 0 }
        await server.stop()
    }

    @Test func aLongAnswerDoesNotHoldItsRequest() async throws {
        let exchanges = Exchanges()
        let server = try await TestServer.start { exchange in
            exchange.openStream()
            exchange.event(ByteBuffer(string: exchange.body.text))
            exchanges.put(exchange)
        }
        let client = try await server.connect()
        try await client.send("POST /a HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc")
        _ = try await client.read(through: "abc")
        #expect(try await exchanges.next().on { $0.body.readableBytes } == 0)
        await server.stop()
    }

    // MARK: Output

    @Test func unreadAnswersCostTheOneThatStalledLongest() async throws {
        let server = try await Self.start { $0.unreadBytesPerPayer = 48 << 20 }
        let ask = "GET /big HTTP/1.1\nHost: h\nPayer: alice\n\n"
        let output = server.server.shared.output
        let first = try await server.connect(autoRead: false)
        try await first.send(ask)
        await eventually("the first waits") { output.heldBytes > 16 << 20 }
        let other = try await server.connect(autoRead: false)
        try await other.send("GET /big HTTP/1.1\nHost: h\nPayer: bob\n\n")
        await eventually("another's waits too") { output.heldBytes > 40 << 20 }
        let second = try await server.connect()
        try await second.send(ask)
        // On the same loop the first goes; on another the second itself.
        try await first.channel.setOption(.autoRead, value: true).get()
        try await other.channel.setOption(.autoRead, value: true).get()
        #expect(await other.count(upTo: 32 << 20) >= 32 << 20)
        let (one, two) = (await first.count(upTo: 32 << 20), await second.count(upTo: 32 << 20))
        #expect(one >= 32 << 20 || two >= 32 << 20)
        await eventually("nothing waits any more") { output.heldBytes == 0 }
        await server.stop()
    }

    // MARK: Connections

    /// Whoever is idle and never showed who it is makes room, before anybody who did.
    @Test func strangersMakeRoom() async throws {
        let server = try await Self.start { $0.connections = 2 }
        let known = try await server.connect()
        try await known.send("GET /a HTTP/1.1\nHost: h\nPayer: alice\n\n")
        _ = try await known.read(through: "here")
        let stranger = try await server.connect()
        try await stranger.send(Self.get)
        _ = try await stranger.read(through: "here")
        try await eventually("a third gets in") {
            let third = try await server.connect()
            try? await third.send("GET /a HTTP/1.1\nHost: h\nConnection: close\n\n")
            return await third.readToEnd().hasPrefix("HTTP/1.1 200 ")
        }
        #expect(await stranger.readToEnd() == "")
        try await known.send("GET /a HTTP/1.1\nHost: h\nPayer: alice\n\n")
        #expect(try await known.read(through: "here").hasPrefix("HTTP/1.1 200 "))
        await server.stop()
    }

    @Test func strangersAreNotIdleForLong() async throws {
        let server = try await Self.start { $0.strangerIdleTimeout = .milliseconds(50) }
        let known = try await server.connect()
        try await known.send("GET /a HTTP/1.1\nHost: h\nPayer: alice\n\n")
        _ = try await known.read(through: "here")
        let stranger = try await server.connect()
        try await stranger.send(Self.get)
        #expect(await stranger.readToEnd().hasSuffix("here"))
        try await known.send(Self.get)
        #expect(try await known.read(through: "here").hasPrefix("HTTP/1.1 200 "))
        await server.stop()
    }

    @Test func addressesHaveAShareOfTheConnections() throws {
        let proxies = try [#require(AddressBlock("10.0.0.0/8"))]
        let count = ConnectionCount(limit: 3, perAddress: 1, shared: proxies)
        func key(_ text: String) throws -> IPAddress? { count.key(of: try SocketAddress(ipAddress: text, port: 1)) }
        for text in ["127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3"] { #expect(try key(text) == nil) }
        #expect(try key("2001:db8::1") == key("2001:db8::ffff:1"))
        #expect(try key("2001:db8::1") != key("2001:db8:0:1::1"))
        #expect(try key("::ffff:192.0.2.1") == key("192.0.2.1"))

        let one = try key("192.0.2.1")
        #expect(count.enter(one) == .entered)
        #expect(count.enter(one) == .addressFull)
        #expect(count.enter(nil) == .entered)
        #expect(count.enter(nil) == .entered)
        #expect(count.enter(nil) == .full)
        #expect(count.enter(nil, overLimit: true) == .entered)
        for address in [nil, nil, nil, one] { count.leave(address) }
        #expect(count.enter(one) == .entered)
    }
}
