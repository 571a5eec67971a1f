import Door
import Glibc
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import MachineAgent

@Suite(.enabled(if: AgentRig.isPossible)) struct JobTests {
    @Test func runsOnceAndEndsWithItsCode() async throws {
        try await AgentRig.with(command: ["sh", "-c", "echo out; echo err >&2; id -u; exit 7"], transport: .job) { rig in
            #expect(await rig.waitForEnd()?.code == 7)
            #expect(rig.log.contains("out\n") && rig.log.contains("err\n") && rig.log.contains("\(rig.firstUID)\n"))
        }
    }

    @Test func aKilledJobIsTold() async throws {
        try await AgentRig.with(command: ["sh", "-c", "kill -9 $$"], transport: .job) { rig in
            #expect(await rig.waitForEnd()?.code == 137)
        }
        try await AgentRig.with(command: ["no-such-program"], transport: .job) { rig in
            #expect(await rig.waitForEnd()?.code == 127)
            #expect(rig.log.contains("no-such-program"))
        }
    }

    @Test func termEndsAJob() async throws {
        try await AgentRig.with(command: ["sh", "-c", "echo up; sleep 600"], transport: .job) { rig in
            await eventually("it runs") { rig.log.contains("up") }
            rig.signal(SIGTERM)
            #expect(await rig.waitForEnd()?.code == 143)
        }
    }
}

struct LaunchRecordTests {
    @Test func comesBackWhole() throws {
        var record = LaunchRecord()
        record.parent = 12
        record.command = ["a", "b c", "", "ü\n"]
        record.environment = ["X=1", "Y="]
        record.files = [("f", String(repeating: "z", count: 70_000))]
        record.home = "/tmp/h"
        record.limits.openFiles = 5
        let bytes = record.encoded()
        #expect(LaunchRecord(decoding: bytes) == record)
        for cut in [0, 1, 4, 5, 20, bytes.count - 1] { #expect(LaunchRecord(decoding: Array(bytes.prefix(cut))) == nil) }
    }
}

struct EgressProxyTests {
    /// A relay that answers one CONNECT, then echoes.
    @Test func connectIsCarriedToTheRelay() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let path = "/tmp/berth-relay-\(getpid()).sock"
        unlink(path)
        let relay = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(EchoRelay()) }
            }
            .bind(unixDomainSocketPath: path).get()
        let proxy = try await EgressProxy.listen(loop: group.next(), port: 0, relay: path).get()
        let port = try #require(proxy.localAddress?.port)

        let client = try await ClientBootstrap(group: group)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
            }
        let received = try await client.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: "CONNECT index.test:443 HTTP/1.1\r\nHost: index.test:443\r\n\r\nearly"))
            var text = ""
            for try await bytes in inbound {
                text += String(buffer: bytes)
                if text.hasSuffix("early"), !text.contains("late") { try await outbound.write(ByteBuffer(string: "late")) }
                if text.hasSuffix("late") { break }
            }
            return text
        }
        #expect(received == "HTTP/1.1 200 OK\r\n\r\nindex.test:443|earlylate")

        let refused = try await ClientBootstrap(group: group)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
            }
        let answer = try await refused.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: "GET /simple/ HTTP/1.1\r\nHost: index.test\r\n\r\n"))
            var text = ""
            for try await bytes in inbound { text += String(buffer: bytes) }
            return text
        }
        #expect(answer.hasPrefix("HTTP/1.1 405 "))
        try await proxy.close()
        try await relay.close()
        unlink(path)
        try await group.shutdownGracefully()
    }
}

private final class EchoRelay: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private var text = ""
    private var answered = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard !answered else { return context.channel.writeAndFlush(bytes, promise: nil) }
        text += String(buffer: bytes)
        guard let end = text.range("\r\n\r\n") else { return }
        answered = true
        let target = text.split(separator: " ").dropFirst().first ?? ""
        context.channel.writeAndFlush(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n\(target)|\(end)"), promise: nil)
    }
}

extension String {
    /// What follows `mark`, or `nil` without it.
    fileprivate func range(_ mark: String) -> Substring? {
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(mark) { return rest.dropFirst(mark.count) }
            rest = rest.dropFirst()
        }
        return nil
    }
}
