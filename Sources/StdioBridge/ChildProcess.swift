import Glibc
import NIOCore
import NIOPosix

/// The pipes of one running child on its event loop: lines out of stdout, a bounded queue into stdin, stderr always drained.
/// Stdin and stdout are channels of their own, so that a child that closed its input can still be read to the end.
final class ChildProcess {
    /// What happens on the pipes. Called on the loop.
    protocol Owner: AnyObject {
        func process(_ process: ChildProcess, wrote frame: LineFramer.Frame)
        /// What stands after the last end of a line, at the end of all.
        func process(_ process: ChildProcess, left frame: LineFramer.Frame)
        func processOutputEnded(_ process: ChildProcess)
        func processErrorsEnded(_ process: ChildProcess)
        func processInputBroke(_ process: ChildProcess)
        func process(_ process: ChildProcess, logged lines: [String])
    }

    let pid: pid_t
    private let loop: any EventLoop
    private weak var owner: (any Owner)?
    private let reaper: Reaper
    private let queueLimit: Int
    private var framer: LineFramer
    private var readSize = ReadSize()
    private(set) var errors: StderrLog
    private var input: (any Channel)?
    private var output: (any Channel)?
    private var error: (any Channel)?
    private var closingInput = false
    private var discarded = false
    private(set) var isReading = true
    /// All that it wrote has been read; what is still to be told is a pipe full and a chunk at most.
    private(set) var hasEnded = false
    private var isDelivering = false
    private(set) var queuedBytes = 0

    init(_ process: SpawnedProcess, plan: SpawnPlan, loop: any EventLoop, reaper: Reaper, limits: BridgeLimits, owner: any Owner) {
        pid = process.pid
        self.loop = loop
        self.reaper = reaper
        self.owner = owner
        queueLimit = limits.queuedInputBytes
        framer = LineFramer(limit: limits.lineBytes)
        errors = StderrLog(mask: plan.mask)
    }

    /// What it has written behind its last whole line.
    var unendedLine: ByteBuffer { framer.pendingLine }

    /// Puts the descriptors under the loop, which owns them from here on. When one cannot be, none is left open.
    func open(_ process: SpawnedProcess, opened: @escaping () -> Void, failed: @escaping (any Error) -> Void) {
        let output = PipeReader { [weak self] in self?.read($0) } ended: { [weak self] in self?.outputEnded() }
        let error = PipeReader { [weak self] in self?.readError($0) } ended: { [weak self] in self?.errorEnded() }
        let channels = [channel(process.stdin, nil), channel(process.stdout, output), channel(process.stderr, error)]
        let bound = NIOLoopBound((self, opened, failed), eventLoop: loop)
        EventLoopFuture.whenAllComplete(channels, on: loop).whenSuccess { results in
            let (process, opened, failed) = bound.value
            do {
                let channels = try results.map { try $0.get() }
                process.adopt(channels[0], channels[1], channels[2])
                opened()
            } catch {
                process.discard()
                for case .success(let channel) in results { channel.close(promise: nil) }
                failed(error)
            }
        }
    }

    private func channel(_ descriptor: Int32, _ reader: PipeReader?) -> EventLoopFuture<any Channel> {
        let bound = NIOLoopBound(reader, eventLoop: loop)
        let wasTaken = NIOLoopBoundBox(false, eventLoop: loop)
        let bootstrap = NIOPipeBootstrap(group: loop).channelOption(.recvAllocator, value: Self.allocator(readSize.bytes))
            .channelOption(.maxMessagesPerRead, value: 1).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    wasTaken.value = true
                    if let reader = bound.value { try channel.pipeline.syncOperations.addHandler(reader) }
                }
            }
        let made =
            reader == nil ? bootstrap.takingOwnershipOfDescriptor(output: descriptor) : bootstrap.takingOwnershipOfDescriptor(input: descriptor)
        return made.flatMapErrorThrowing { error in
            // What NIO refused to make a channel of is still ours; a channel that it made has closed its descriptor.
            if !wasTaken.value { close(descriptor) }
            throw error
        }
    }

    private static func allocator(_ most: Int) -> AdaptiveRecvByteBufferAllocator {
        AdaptiveRecvByteBufferAllocator(minimum: 512, initial: min(most / 2, 16 << 10), maximum: most)
    }

    private func adopt(_ input: any Channel, _ output: any Channel, _ error: any Channel) {
        (self.input, self.output, self.error) = (input, output, error)
        if discarded { return closeAll() }
        let this = NIOLoopBound(self, eventLoop: loop)
        input.closeFuture.whenComplete { _ in
            let process = this.value
            process.input = nil
            if !process.closingInput { process.owner?.processInputBroke(process) }
        }
    }

    // MARK: Input

    /// Writes one line. `false`: the queue is full or closed, and nothing of it was taken.
    /// `written` tells whether all of it reached the pipe.
    func write(_ line: ByteBuffer, written: @escaping (Bool) -> Void) -> Bool {
        guard let input, !closingInput, queuedBytes == 0 || queuedBytes + line.readableBytes <= queueLimit else { return false }
        let bytes = line.readableBytes
        queuedBytes += bytes
        let bound = NIOLoopBound((self, written), eventLoop: loop)
        input.writeAndFlush(line).whenComplete { result in
            let (process, written) = bound.value
            process.queuedBytes -= bytes
            if case .success = result { written(true) } else { written(false) }
        }
        return true
    }

    func closeInput() {
        guard !closingInput else { return }
        closingInput = true
        input?.close(promise: nil)
    }

    func signal(_ number: Int32) { reaper.signal(pid, number) }

    // MARK: Output

    /// Stops and restarts reading what the child writes; what was read and not yet told waits too.
    func setReading(_ on: Bool) {
        guard isReading != on else { return }
        isReading = on
        if on { deliver() }
        guard let output, isReading == on else { return }
        let bound = NIOLoopBound(output, eventLoop: loop)
        output.setOption(.autoRead, value: on).whenSuccess { if on { bound.value.read() } }
    }

    private func read(_ chunk: ByteBuffer) {
        framer.append(chunk)
        let before = framer.lines
        deliver()
        // While its output is held up, lines of this chunk are still to be counted.
        guard isReading, let size = readSize.read(chunk.readableBytes, lines: framer.lines - before) else { return }
        try? output?.syncOptions?.setOption(.recvAllocator, value: Self.allocator(size))
    }

    private func deliver() {
        // Whoever hears of a line may stop the reading and let it go on.
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while isReading, !discarded, let frame = framer.next() { owner?.process(self, wrote: frame) }
    }

    private func outputEnded() {
        if discarded { return }
        output = nil
        hasEnded = true
        while !discarded, let frame = framer.next() { owner?.process(self, wrote: frame) }
        if let frame = framer.finish() { owner?.process(self, left: frame) }
        owner?.processOutputEnded(self)
    }

    private func readError(_ chunk: ByteBuffer) {
        let lines = errors.append(chunk)
        if !lines.isEmpty { owner?.process(self, logged: lines) }
    }

    private func errorEnded() {
        error = nil
        let lines = errors.finish()
        if !lines.isEmpty { owner?.process(self, logged: lines) }
        owner?.processErrorsEnded(self)
    }

    /// The process is gone. Its stderr is read on until its end, if that comes at once; the rest is closed.
    func discard() {
        discarded = true
        closingInput = true
        closeAll()
    }

    private func closeAll() {
        input?.close(promise: nil)
        output?.close(promise: nil)
        guard let error else { return }
        let bound = NIOLoopBound(error, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(300)) { bound.value.close(promise: nil) }
    }
}

/// Hands the bytes of a pipe to closures.
private final class PipeReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let read: (ByteBuffer) -> Void
    private let ended: () -> Void

    init(_ read: @escaping (ByteBuffer) -> Void, ended: @escaping () -> Void) {
        self.read = read
        self.ended = ended
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { read(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { ended() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
