import Glibc
import NIOCore
import TestSupport
import Testing

@testable import Wire

@Suite(.timeLimit(.minutes(5))) struct ServerLifeTests {
    private static let get = "GET /a HTTP/1.1\nHost: h\n\n"

    @Test func clientsThatSayNothingAreClosed() async throws {
        var limits = ServerLimits()
        limits.headTimeout = .milliseconds(50)
        let server = try await TestServer.echo(limits: limits)
        let silent = try await server.connect()
        let slow = try await server.connect()
        try? await slow.send("GET / HT")
        #expect(await silent.readToEnd() == "")
        #expect(await slow.readToEnd() == "")
        await server.stop()
    }

    @Test func idleConnectionsAreClosed() async throws {
        var limits = ServerLimits()
        limits.idleTimeout = .milliseconds(50)
        let server = try await TestServer.echo(limits: limits)
        let client = try await server.connect()
        try await client.send(Self.get)
        #expect(await client.readToEnd().hasSuffix("GET /a "))
        await server.stop()
    }

    @Test func bodiesThatDoNotComeAreGivenUp() async throws {
        var limits = ServerLimits()
        limits.bodyTimeout = .milliseconds(50)
        let server = try await TestServer.echo(limits: limits)
        let client = try await server.connect()
        try await client.send("POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nab")
        #expect(await client.readToEnd().hasPrefix("HTTP/1.1 408 "))
        await server.stop()
    }

    @Test(.tags(.failure15)) func aLongAnswerIsNotIdle() async throws {
        var limits = ServerLimits()
        limits.idleTimeout = .milliseconds(20)
        limits.bodyTimeout = .milliseconds(20)
        let exchanges = Exchanges()
        let server = try await TestServer.start(limits: limits) { exchanges.put($0) }
        let client = try await server.connect()
        try await client.send(Self.get)
        let exchange = try await exchanges.next()
        let later = exchange.loop.makePromise(of: Void.self)
        exchange.loop.scheduleTask(in: .milliseconds(200)) { later.succeed() }
        try await later.futureResult.get()
        try await exchange.on { $0.reply(status: 200, headers: [], body: ByteBuffer(string: "there")) }
        #expect(try await client.read(through: "there").hasPrefix("HTTP/1.1 200 "))
        await server.stop()
    }

    /// A client whose host is gone acknowledges nothing: the kernel ends its connection as soon as one that reads nothing is ended.
    @Test(.tags(.failure04)) func halfOpenConnectionsEnd() async throws {
        var limits = ServerLimits()
        limits.stallTimeout = .milliseconds(4321)
        let server = try await TestServer.echo(limits: limits)
        let client = try await server.connect()
        try await client.send("GET / HTTP/1.1\nHost: h\n\n")
        _ = try await client.read(through: "GET / ")
        let timeouts = (Int32(3)..<1024).compactMap { descriptor -> Int32? in
            var (value, size) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
            return getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &value, &size) == 0 ? value : nil
        }
        #expect(timeouts.contains(4321), "\(timeouts)")
        await client.close()
        await server.stop()
    }

    @Test func oneConnectionTooManyIsTold() async throws {
        var limits = ServerLimits()
        limits.connections = 1
        let exchanges = Exchanges()
        let server = try await TestServer.start(limits: limits) { exchange in
            // One that waits for its answer is not closed to make room.
            if exchange.uri == "/held" { return exchanges.put(exchange) }
            exchange.reply(status: 200, headers: [], body: nil)
        }
        let first = try await server.connect()
        try await first.send("GET /held HTTP/1.1\nHost: h\n\n")
        let held = try await exchanges.next()
        let second = try await server.connect()
        #expect(await second.readToEnd().hasPrefix("HTTP/1.1 503 "))
        try await held.on { $0.reply(status: 200, headers: [], body: ByteBuffer(string: "held")) }
        #expect(try await first.read(through: "held").hasPrefix("HTTP/1.1 200 "))
        await first.close()
        try await eventually("there is room again") {
            let third = try await server.connect()
            try? await third.send("GET /a HTTP/1.1\nHost: h\nConnection: close\n\n")
            return await third.readToEnd().hasPrefix("HTTP/1.1 200 ")
        }
        await server.stop()
    }

    @Test(.tags(.failure15)) func closingLetsRunningExchangesFinish() async throws {
        let exchanges = Exchanges()
        let draining = Signal()
        let server = try await TestServer.start { exchange in
            exchange.onDrain = { draining.fire() }
            exchanges.put(exchange)
        }
        let idle = try await server.connect()
        try await idle.send(Self.get)
        try await exchanges.next().on { $0.reply(status: 200, headers: [], body: nil) }
        _ = try await idle.read(through: "\n\n")
        let busy = try await server.connect()
        try await busy.send(Self.get)
        let exchange = try await exchanges.next()
        async let closed: Void = server.server.close(drain: .seconds(20))
        #expect(await idle.readToEnd() == "")
        await draining.wait()
        await #expect(throws: (any Error).self) { try await server.connect() }
        try await exchange.on { $0.reply(status: 200, headers: [], body: ByteBuffer(string: "done")) }
        let all = await busy.readToEnd()
        #expect(all.contains("connection: close\n") && all.hasSuffix("\n\ndone"))
        await busy.close()
        await closed
    }

    @Test func closingCutsWhatDoesNotFinish() async throws {
        let gone = Signal()
        let server = try await TestServer.start { exchange in
            exchange.onClientGone = { gone.fire() }
            exchange.event(ByteBuffer(string: "one"))
        }
        let client = try await server.connect()
        try await client.send(Self.get)
        _ = try await client.read(through: "one")
        await server.server.close(drain: .milliseconds(20))
        await gone.wait()
        _ = await client.readToEnd()
    }

    @Test func unixSocketsTellWhoCalls() async throws {
        let path = socketPath()
        let server = try await TestServer.start(.unix(path: path, mode: 0o600)) {
            $0.reply(status: 200, headers: [], body: ByteBuffer(string: "uid \($0.peer.uid.map(String.init) ?? "?")!"))
        }
        var found = stat()
        #expect(lstat(path, &found) == 0 && found.st_mode & 0o777 == 0o600)
        let client = try await server.connect()
        try await client.send(Self.get)
        #expect(try await client.read(through: "!").hasSuffix("uid \(getuid())!"))
        await server.stop()
        #expect(lstat(path, &found) != 0)
    }

    @Test func staleSocketsAreReplacedAndOtherFilesAreNot() async throws {
        let path = socketPath()
        let left = try UnixListener.open(path: path, mode: 0o600, backlog: 1)
        close(left)
        let server = try await TestServer.start(.unix(path: path)) { $0.reply(status: 204, headers: [], body: nil) }
        let client = try await server.connect()
        try await client.send(Self.get)
        #expect(try await client.read(through: "\n\n") == "HTTP/1.1 204 No Content\n\n")
        await server.stop()

        close(open(path, O_CREAT | O_WRONLY, 0o600))
        await #expect(throws: UnixListener.Failure.self) { try await TestServer.start(.unix(path: path)) { _ in } }
        unlink(path)
    }

    @Test func listensOnADescriptorThatItIsGiven() async throws {
        let path = socketPath()
        let descriptor = try UnixListener.open(path: path, mode: 0o600, backlog: 16)
        let server = try await PublicServer.bind(.descriptor(descriptor), group: testLoops) { _ in Plain() }
        let client = try await RawPeer.connect(to: .unix(path: path))
        try await client.send(Self.get)
        #expect(try await client.read(through: "\n\n").hasPrefix("HTTP/1.1 200 OK\n"))
        await client.close()
        await server.close()
        unlink(path)
    }

    @Test func aDescriptorThatCannotListenIsRefusedAndClosed() async throws {
        let path = socketPath()
        let file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        var (one, other) = (stat(), stat())
        #expect(fstat(file, &one) == 0)
        await #expect(throws: (any Error).self) { try await PublicServer.bind(.descriptor(file), group: testLoops) { _ in Plain() } }
        // The number may be another's by now.
        #expect(fstat(file, &other) != 0 || other.st_ino != one.st_ino || other.st_dev != one.st_dev)
        unlink(path)
    }

    private final class Plain: ServerDelegate {
        func handle(_ exchange: ServerExchange) { exchange.reply(status: 200, headers: [], body: nil) }
    }
}

@Suite struct OriginPolicyTests {
    static let policy = OriginPolicy(allowedHosts: ["MCP.example.org", "exact.example.org:8443"], allowedOrigins: ["https://app.example.org"])

    @Test(
        arguments: [
            ("localhost", nil), ("localhost:8080", nil), ("127.0.0.1:1", nil), ("[::1]:80", nil), ("[::1]", nil), ("LOCALHOST:1", nil),
            ("mcp.example.org", nil), ("mcp.example.org:99", nil), ("exact.example.org:8443", nil), ("localhost:1", "http://localhost:5173"),
            ("localhost", "https://app.example.org"), ("localhost", "HTTPS://MCP.example.org"),
        ] as [(String, String?)]) func lets(host: String, origin: String?)
    {
        #expect(Self.policy.check(hosts: [host], origins: origin.map { [$0] } ?? []) == nil)
    }

    @Test(arguments: [
        "evil.example", "localhost.evil.example", "evil.example:8080", "127.0.0.1.evil.example", "exact.example.org", "exact.example.org:1",
        "localhost:",
        "localhost:x", "::1", "", "user@localhost", "192.168.1.5",
    ]) func refusesHosts(host: String) {
        #expect(Self.policy.check(hosts: [host], origins: []) == .host(host))
    }

    @Test(arguments: [
        "http://evil.example", "null", "https://app.example.org.evil.example", "https://app.example.org:99", "file://localhost", "localhost",
        "http://",
        "http://localhost.evil.example", "http://localhost/path",
    ]) func refusesOrigins(origin: String) {
        #expect(Self.policy.check(hosts: ["localhost"], origins: [origin]) == .origin(origin))
    }

    @Test func exactlyOneHost() {
        #expect(Self.policy.check(hosts: [], origins: []) == .missingHost)
        #expect(Self.policy.check(hosts: ["localhost", "localhost"], origins: []) == .missingHost)
        #expect(Self.policy.check(hosts: ["localhost"], origins: ["http://localhost", "http://evil.example"]) == .origin("http://evil.example"))
    }
}
