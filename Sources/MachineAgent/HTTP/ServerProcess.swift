import Glibc
import NIOCore
import NIOPosix
import StdioBridge

/// The pipes of the machine's HTTP server: its input is empty, and what it writes on either output goes to the log, bounded as the
/// standard error of any server is. Confined to its loop.
final class ServerProcess {
    let pid: pid_t
    private let loop: any EventLoop
    private let log: (String) -> Void
    private let ended: () -> Void
    /// Standard output and standard error, by their descriptors there.
    private var texts: [Int: StderrLog]
    private var channels: [Int: any Channel] = [:]
    private var open: Set<Int> = [1, 2]
    private var isDiscarded = false

    /// Puts the descriptors under the loop, which owns them from here on.
    ///
    /// - Parameter ended: all that it wrote has been read.
    init(_ process: SpawnedProcess, mask: SecretMask, loop: any EventLoop, log: @escaping (String) -> Void, ended: @escaping () -> Void) {
        pid = process.pid
        self.loop = loop
        self.log = log
        self.ended = ended
        texts = [1: StderrLog(mask: mask), 2: StderrLog(mask: mask)]
        close(process.stdin)
        adopt(process.stdout, as: 1)
        adopt(process.stderr, as: 2)
    }

    /// The last 4 KiB of its standard error, or of its standard output where it wrote none.
    var lastWords: String {
        let errors = texts[2]?.lastLines ?? ""
        return errors.isEmpty ? texts[1]?.lastLines ?? "" : errors
    }

    var bytes: Int { texts.values.reduce(0) { $0 + $1.bytes } }

    /// All that it wrote has been read.
    var hasEnded: Bool { open.isEmpty }

    /// The process is gone, and what still holds its pipes is not waited for.
    func discard() {
        isDiscarded = true
        for channel in channels.values { channel.close(promise: nil) }
    }

    private func adopt(_ descriptor: Int32, as number: Int) {
        let this = NIOLoopBound(self, eventLoop: loop)
        let wasTaken = NIOLoopBoundBox(false, eventLoop: loop)
        NIOPipeBootstrap(group: loop).channelOption(.maxMessagesPerRead, value: 1).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                wasTaken.value = true
                try channel.pipeline.syncOperations.addHandler(OutputReader(this.value, number))
            }
        }.takingOwnershipOfDescriptor(input: descriptor).whenComplete { result in
            let process = this.value
            switch result {
            case .success(let channel):
                process.channels[number] = channel
                if process.isDiscarded { channel.close(promise: nil) }
            case .failure(let error):
                // What NIO refused to make a channel of is still ours; a channel that it made has closed its descriptor.
                if !wasTaken.value { close(descriptor) }
                process.log("[\(process.pid)] its output cannot be read: \(error)")
                process.outputEnded(number)
            }
        }
    }

    fileprivate func read(_ chunk: ByteBuffer, from number: Int) {
        for line in texts[number]?.append(chunk) ?? [] { log("[\(pid)] \(line)") }
    }

    fileprivate func outputEnded(_ number: Int) {
        guard open.remove(number) != nil else { return }
        channels[number] = nil
        for line in texts[number]?.finish() ?? [] { log("[\(pid)] \(line)") }
        if open.isEmpty { ended() }
    }
}

private final class OutputReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let process: ServerProcess
    private let number: Int

    init(_ process: ServerProcess, _ number: Int) {
        self.process = process
        self.number = number
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { process.read(unwrapInboundIn(data), from: number) }
    func channelInactive(context: ChannelHandlerContext) { process.outputEnded(number) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
