import Door
import Foundation
import Glibc
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Wire

@testable import Orchestrator

@Suite struct OCIEgressPolicyTests {
    @Test(
        "special addresses are refused in every disguise",
        arguments: [
            "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.1.1", "198.18.0.1",
            "224.0.0.1", "255.255.255.255", "168.63.129.16", "192.0.0.170", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1", "fc00::1",
            "fe80::1", "fec0::1", "ff02::1", "100::1", "5f00::1",
        ])
    func refused(_ text: String) throws {
        #expect(!AddressPolicy.isGlobal(try #require(IPAddress(text))))
    }

    @Test("public addresses pass", arguments: ["1.1.1.1", "151.101.0.223", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a04:4e42::223"])
    func global(_ text: String) throws {
        #expect(AddressPolicy.isGlobal(try #require(IPAddress(text))))
        #expect(try #require(IPAddress(text)).description == text)
    }

    @Test("who is refused again and again fills neither memory nor the log")
    func refusals() {
        let lines = LineCount()
        let context = EgressRelay.Context(
            policy: EgressPolicy(allowed: []), peerUIDs: 0...0, logger: Logger(label: "", factory: { _ in lines }))
        for port in 1...5_000 { context.refuse(EgressRefusal(host: "a", port: port, reason: .notAllowed)) }
        #expect(context.ledger.rows.count == EgressLedger.limit && context.ledger.rows.first?.refusal.port == 1)
        #expect(lines.count.withLock { $0 } == EgressLedger.limit + 1)
    }

    @Test("every block of the tables can be read")
    func tables() {
        for text in AddressPolicy.refusedV4 + AddressPolicy.refusedV6 + [AddressPolicy.allowedV6] { #expect(AddressBlock(text) != nil, "\(text)") }
    }

    @Test("only a whole CONNECT to a plain name is a request")
    func requests() throws {
        let whole = Array("CONNECT PyPI.org:443 HTTP/1.1\r\nhost: x\r\n\r\nrest".utf8)
        let parsed = try #require(try ConnectRequest.parse(whole))
        #expect(parsed.request == ConnectRequest(host: "pypi.org", port: 443))
        #expect(whole.count - parsed.length == 4)
        #expect(try ConnectRequest.parse(Array(whole.prefix(20))) == nil)
        let plain = Array("GET http://10.0.0.7/simple/a/ HTTP/1.1\r\nhost: 10.0.0.7\r\n\r\n".utf8)
        let absolute = try #require(try ConnectRequest.parse(plain))
        #expect(absolute.request == ConnectRequest(host: "10.0.0.7", port: 80, isTunnel: false))
        #expect(absolute.length == 0, "the destination reads the head itself")
        for bad in [
            "GET / HTTP/1.1", "GET https://a/ HTTP/1.1", "GET http:///x HTTP/1.1", "GET http://a@b/ HTTP/1.1", "CONNECT a HTTP/1.1",
            "CONNECT a:0 HTTP/1.1", "CONNECT a:99999 HTTP/1.1", "CONNECT a b:1 HTTP/1.1",
            "CONNECT a\u{1B}:1 HTTP/1.1", "CONNECT [::1]:1 HTTP/1.1",
        ] {
            #expect(throws: ConnectRequest.MalformedRequest.self) { try ConnectRequest.parse(Array((bad + "\r\n\r\n").utf8)) }
        }
        #expect(throws: ConnectRequest.MalformedRequest.self) { try ConnectRequest.parse([UInt8](repeating: 65, count: ConnectRequest.limit)) }
    }
}

/// A log that counts.
private final class LineCount: LogHandler {
    let count = Mutex(0)
    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    func log(event: LogEvent) { count.withLock { $0 += 1 } }
}

/// The relay with real sockets. The upstream is on loopback, which only the marked index may reach.
@Suite(.enabled(if: geteuid() == 0, "needs root"))
struct OCIEgressTests {
    private func withRelay(
        peers: ClosedRange<UInt32> = 0...0, _ policy: (Int) -> [EgressDestination], _ body: (EgressRelay, String, Int) async throws -> Void
    ) async throws {
        let directory = "/tmp/berth-eg-\(UInt32.random(in: 0 ... .max))"
        let upstream = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) } }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(upstream.localAddress?.port)
        var logger = Logger(label: "egress-test")
        logger.logLevel = .critical
        let relay = try await EgressRelay.start(
            directory: directory, peerUIDs: peers, policy: EgressPolicy(allowed: policy(port)), group: .singletonMultiThreadedEventLoopGroup,
            logger: logger)
        do {
            try await body(relay, directory + "/egress.sock", port)
        } catch {
            Issue.record(error)
        }
        await relay.stop()
        try await upstream.close()
        try Files.removeTree(directory)
    }

    /// Writes everything, ends its side, reads everything.
    private func exchange(_ path: String, _ bytes: [UInt8]) async throws -> [UInt8] {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        guard let descriptor = UnixClient.connect(path) else { throw OCIError(.system, "connect") }
                        defer { close(descriptor) }
                        // A relay that refuses closes at once, perhaps before it was told anything.
                        try? Files.writeAll(descriptor, bytes, path)
                        shutdown(descriptor, Int32(SHUT_WR))
                        var answer: [UInt8] = []
                        var chunk = [UInt8](repeating: 0, count: 64 << 10)
                        while case let count = read(descriptor, &chunk, chunk.count), count > 0 { answer += chunk[0..<count] }
                        return answer
                    })
            }
        }
    }

    private func connect(_ host: String, _ port: Int, _ rest: [UInt8] = []) -> [UInt8] {
        Array("CONNECT \(host):\(port) HTTP/1.1\r\n\r\n".utf8) + rest
    }

    @Test("an allowed destination is reached, bytes go both ways in full, and both ends are told of the end")
    func allowed() async throws {
        try await withRelay({ [EgressDestination(host: "localhost", port: $0, reach: .any)] }) { relay, path, port in
            let payload = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) }
            // The payload follows the answer, as TLS does; a little of it comes early.
            let answer = try await exchange(path, connect("localhost", port, Array(payload.prefix(60_000))))
            let head = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)
            #expect(answer.starts(with: head))
            #expect(answer.dropFirst(head.count).elementsEqual(payload.prefix(60_000)))
            #expect(relay.refusals() == [])
        }
    }

    @Test("everything else is refused with its name")
    func refused() async throws {
        try await withRelay({ [EgressDestination(host: "localhost", port: $0), EgressDestination(host: "nowhere.invalid", port: 443)] }) {
            relay, path, port in
            for (host, port) in [("localhost", port), ("evil.example", 443), ("localhost", 22), ("nowhere.invalid", 443)] {
                let answer = String(decoding: try await exchange(path, connect(host, port)), as: UTF8.self)
                #expect(answer.hasPrefix("HTTP/1.1 403") || answer.hasPrefix("HTTP/1.1 502"))
            }
            #expect(
                relay.refusals() == [
                    EgressRefusal(host: "localhost", port: port, reason: .notGlobal),
                    EgressRefusal(host: "evil.example", port: 443, reason: .notAllowed),
                    EgressRefusal(host: "localhost", port: 22, reason: .notAllowed),
                    EgressRefusal(host: "nowhere.invalid", port: 443, reason: .unresolved),
                ])
        }
    }

    @Test("another user id than the machine's gets nothing")
    func foreignPeer() async throws {
        try await withRelay(peers: 300_000...300_000, { [EgressDestination(host: "localhost", port: $0, reach: .any)] }) {
            relay, path, port in
            let answer = try await exchange(path, connect("localhost", port))
            #expect(!String(decoding: answer, as: UTF8.self).contains("200"))
            _ = try await eventually("refusal") { relay.refusals().first { $0.reason == .foreignPeer } }
        }
    }
}

private final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(promise: nil) }
    }
}
