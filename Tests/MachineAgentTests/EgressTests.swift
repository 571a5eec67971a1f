import CLinux
import Door
import Foundation
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import MachineAgent

/// The agent's side of a way out, in a network namespace of the test's own, before a relay that is the test's.
@Suite(.enabled(if: geteuid() == 0, "network namespaces need root"))
struct EgressTests {
    @Test func anAllowedConnectionIsAskedForAndCarried() async throws {
        try await EgressRig.with(["api.example.com:7000", "tls.example.com"]) { rig in
            let address = try await rig.address(of: "api.example.com")
            #expect(address == "198.18.0.1")
            #expect(try await rig.exchange(address, 7000, Array("ping".utf8)) == .answered("CONNECT api.example.com:7000|ping"))
            // What follows the relay's answer at once, in one packet with it, is not lost.
            rig.relay.greeting.withLock { $0 = "first" }
            #expect(try await rig.exchange(address, 7000, Array("ping".utf8)) == .answered("firstCONNECT api.example.com:7000|ping"))
            let hello = ClientHelloTests.Hello.record(Self.hello("tls.example.com"))
            let secure = try await rig.address(of: "tls.example.com", byTCP: true)
            rig.relay.greeting.withLock { $0 = "" }
            guard case .answered(let text) = try await rig.exchange(secure, 443, hello) else { return #expect(Bool(false), "reset") }
            #expect(text.hasPrefix("CONNECT tls.example.com:443|"))
        }
    }

    @Test func whatIsRefusedIsResetAndTold() async throws {
        try await EgressRig.with(["api.example.com:7000", "tls.example.com"], helloTimeout: .milliseconds(300)) { rig in
            let plain = try await rig.address(of: "api.example.com")
            let secure = try await rig.address(of: "tls.example.com")
            #expect(try await rig.address(of: "other.example") == "")
            #expect(try await rig.exchange("1.1.1.1", 7000, [1]) == .reset)
            #expect(try await rig.exchange("127.0.0.1", 7000, [1]) == .reset)
            #expect(try await rig.exchange(plain, 443, [1]) == .reset, "an allowed name on another's port")
            #expect(try await rig.exchange(plain, 80, [1]) == .reset, "on a port that nobody has")
            #expect(try await rig.exchange(secure, 443, ClientHelloTests.Hello.record(Self.hello("other.example"))) == .reset)
            #expect(try await rig.exchange(secure, 443, Array("GET / HTTP/1.1\r\n\r\n".utf8)) == .reset)
            #expect(try await rig.exchange(secure, 443, [22, 3, 1], endsOutput: false) == .reset, "a ClientHello that never comes")
            rig.relay.refusal.withLock { $0 = "not_global" }
            #expect(try await rig.exchange(plain, 7000, [1]) == .reset)
            let expected: Set = [
                "other.example:0/not_allowed", "1.1.1.1:7000/literal", "127.0.0.1:7000/literal", "api.example.com:443/not_allowed",
                "api.example.com:80/not_allowed", "other.example:443/wrong_name", "tls.example.com:443/no_tls_name",
            ]
            await eventually("everything is told: \(rig.relay.told.withLock { $0 })") { rig.relay.told.withLock { Set($0.keys) } == expected }
            await eventually("and how often") { rig.relay.told.withLock { $0["tls.example.com:443/no_tls_name"] } == 2 }
            // The relay was asked once, and counts what it refuses itself.
            #expect(rig.relay.connects.withLock { $0 } == ["CONNECT api.example.com:7000"])
        }
    }

    /// Between two orchestrators nobody listens.
    @Test func whatNobodyHeardIsToldToTheNextRelay() async throws {
        try await EgressRig.with(["api.example.com:7000"]) { rig in
            let address = try await rig.address(of: "api.example.com")
            try await rig.relay.close()
            #expect(try await rig.exchange(address, 7000, [1]) == .reset)
            for _ in 1...3 { #expect(try await rig.exchange("1.1.1.1", 7000, [1]) == .reset) }
            try await rig.relay.open()
            await eventually("the next one is told") { rig.relay.told.withLock { $0["1.1.1.1:7000/literal"] == 3 } }
            #expect(try await rig.exchange(address, 7000, Array("x".utf8)) == .answered("CONNECT api.example.com:7000|x"))
        }
    }

    @Test func thereIsRoomForSoManyConnections() async throws {
        try await EgressRig.with(["tls.example.com"], helloTimeout: .seconds(120)) { rig in
            let address = try await rig.address(of: "tls.example.com")
            let open = try await rig.inside { try (0..<Egress.connectionLimit).map { _ in try EgressRig.connect(address, 443) } }
            // A name is still resolved, by UDP; the next connection is one too many.
            #expect(try await rig.address(of: "tls.example.com") == address)
            #expect(try await rig.exchange(address, 443, [22]) == .reset)
            await eventually("it is told") { rig.relay.told.withLock { $0["tls.example.com:443/too_many"] == 1 } }
            for descriptor in open { close(descriptor) }
            let hello = ClientHelloTests.Hello.record(Self.hello("tls.example.com"))
            await eventually("room again") { (try? await rig.exchange(address, 443, hello)) != .reset }
        }
    }

    private static func hello(_ name: String) -> [UInt8] {
        var hello = ClientHelloTests.Hello()
        hello.extensions = [(0, ClientHelloTests.Hello.serverName(name))]
        return hello.message
    }
}

/// A loop of the agent's in a network namespace where every address is its own, and clients beside it.
private final class EgressRig: Sendable {
    let relay: FakeRelay
    private let network: Int32
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    enum Outcome: Equatable { case answered(String), reset }

    static func with(_ list: [String], helloTimeout: TimeAmount = .seconds(10), _ body: (EgressRig) async throws -> Void) async throws {
        let rig = try await EgressRig()
        do {
            try await rig.open(try EgressList(list), helloTimeout)
            try await body(rig)
        } catch {
            Issue.record(error)
        }
        try await rig.group.shutdownGracefully()
        try await rig.relay.end()
        close(rig.network)
    }

    private init() async throws {
        var step: UnsafePointer<CChar>?
        network = clinux_local_network(1, &step)
        guard network >= 0 else { throw POSIXProblem(step: step.map { String(cString: $0) } ?? "") }
        relay = try await FakeRelay()
    }

    private func open(_ list: EgressList, _ helloTimeout: TimeAmount) async throws {
        let (loop, network, path) = (group.next(), network, relay.path)
        try await loop.flatSubmit { () -> EventLoopFuture<Void> in
            guard enterNetwork(network) else { return loop.makeFailedFuture(POSIXProblem(step: "setns")) }
            let places = Egress.Places(helloTimeout: helloTimeout, relay: path)
            do {
                return try Egress(list: list, places: places, loop: loop, log: AgentLog(least: .error)).open()
            } catch {
                return loop.makeFailedFuture(error)
            }
        }.get()
    }

    /// Runs `body` on a thread of its own in the namespace, which ends with it.
    func inside<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await onOwnThread { [network] in
            guard enterNetwork(network) else { throw POSIXProblem(step: "setns") }
            return try body()
        }
    }

    /// What the name service answers; empty for a name that does not exist.
    func address(of name: String, byTCP: Bool = false) async throws -> String {
        let query = NameServiceTests.query(name)
        return try await inside {
            let descriptor = try Self.connect("127.0.0.53", 53, isDatagram: !byTCP)
            defer { close(descriptor) }
            let message = byTCP ? [UInt8(query.count >> 8), UInt8(query.count & 0xFF)] + query : query
            guard write(descriptor, message, message.count) == message.count else { throw POSIXProblem(step: "write") }
            var answer = [UInt8](repeating: 0, count: 1_024)
            let count = read(descriptor, &answer, answer.count)
            guard count > 12 else { throw POSIXProblem(step: "read") }
            let bytes = answer[(byTCP ? 2 : 0)..<count]
            return bytes[bytes.startIndex + 7] == 1 ? bytes.suffix(4).map(String.init).joined(separator: ".") : ""
        }
    }

    func exchange(_ address: String, _ port: UInt16, _ bytes: [UInt8], endsOutput: Bool = true) async throws -> Outcome {
        try await inside {
            let descriptor = try Self.connect(address, port)
            defer { close(descriptor) }
            // A reset is told once, to whoever asks first.
            if send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) < 0, errno == ECONNRESET || errno == EPIPE { return .reset }
            if endsOutput { shutdown(descriptor, Int32(SHUT_WR)) }
            var all: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 4_096)
            while true {
                let count = read(descriptor, &chunk, chunk.count)
                if count < 0, errno == ECONNRESET { return .reset }
                guard count >= 0 else { throw POSIXProblem(step: "read") }
                if count == 0 { return .answered(String(decoding: all, as: UTF8.self)) }
                all += chunk.prefix(count)
            }
        }
    }

    static func connect(_ address: String, _ port: UInt16, isDatagram: Bool = false) throws -> Int32 {
        let kind = Int32((isDatagram ? SOCK_DGRAM : SOCK_STREAM).rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, kind, 0)
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &place.sin_addr)
        var timeout = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0 else { throw POSIXProblem(step: "connect \(address):\(port)") }
        return descriptor
    }
}

/// `setns` of this thread; Swift's Glibc does not have it.
private func enterNetwork(_ descriptor: Int32) -> Bool {
    typealias Call = @convention(c) (Int32, Int32) -> Int32
    guard let symbol = dlsym(nil, "setns") else { return false }
    return unsafeBitCast(symbol, to: Call.self)(descriptor, 0) == 0
}

/// Answers as the orchestrator's relay does, and echoes.
private final class FakeRelay: Sendable {
    let path: String
    /// What comes right behind the answer's head.
    let greeting = Mutex("")
    /// Why every connection is refused; empty: none is.
    let refusal = Mutex("")
    let connects = Mutex<[String]>([])
    /// What the agent refused, with how often.
    let told = Mutex<[String: Int]>([:])
    private let directory: String
    private let listener = Mutex<(any Channel)?>(nil)

    init() async throws {
        directory = "/tmp/berth-relay-\(UInt32.random(in: 0 ... .max))"
        path = directory + "/egress.sock"
        mkdir(directory, 0o700)
        try await open()
    }

    func open() async throws {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler(relay: self)) }
            }
            .bind(unixDomainSocketPath: path).get()
        listener.withLock { $0 = channel }
    }

    func close() async throws {
        try await listener.withLock { $0 }?.close()
        unlink(path)
    }

    func end() async throws {
        try await close()
        rmdir(directory)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let relay: FakeRelay
        private var head: String?
        private var received = ""

        init(relay: FakeRelay) { self.relay = relay }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += String(decoding: unwrapInboundIn(data).readableBytesView, as: UTF8.self)
            guard head == nil, let end = received.range(of: " HTTP/1.1\r\n\r\n") else { return }
            let request = String(received[..<end.lowerBound])
            received = String(received[end.upperBound...])
            head = request
            if request.hasPrefix("REFUSED ") {
                let parts = request.dropFirst(8).split(separator: "/")
                relay.told.withLock { $0["\(parts[0])/\(parts[1])", default: 0] += Int(parts[2]) ?? 0 }
                return answer(context, "HTTP/1.1 200 OK\r\n\r\n", closes: true)
            }
            relay.connects.withLock { $0.append(request) }
            let refusal = relay.refusal.withLock { $0 }
            guard refusal.isEmpty else { return answer(context, "HTTP/1.1 403 Forbidden\r\nx-berth-refused: \(refusal)\r\n\r\n", closes: true) }
            answer(context, "HTTP/1.1 200 OK\r\n\r\n" + relay.greeting.withLock { $0 }, closes: false)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            guard event as? ChannelEvent == .inputClosed, let head else { return }
            answer(context, "\(head)|\(received)", closes: true)
        }

        private func answer(_ context: ChannelHandlerContext, _ text: String, closes: Bool) {
            let channel = context.channel
            channel.writeAndFlush(ByteBuffer(string: text)).whenComplete { _ in if closes { channel.close(promise: nil) } }
        }
    }
}
