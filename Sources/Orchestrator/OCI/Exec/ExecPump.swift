import CLinux
import Foundation
import Glibc

/// Feeds one command and reads it, on a thread of its own, until it is over.
///
/// Every wait has an end: what the command's user still has of processes then is for ``OCIRuntime`` to find.
final class ExecPump: Sendable {
    private let process: Int32
    private let pidfd: Int32
    private let streams: ExecStreams
    private let command: ExecCommand
    private let begin: ContinuousClock.Instant
    private let stopped: WakePipe
    /// Ends every process of it.
    private let kill: @Sendable () -> Void

    /// How long the kernel may take with what was killed.
    private static let patience = Duration.seconds(5)

    /// - Parameter pidfd: belongs to the pump from here on.
    init(
        process: Int32, pidfd: Int32, streams: ExecStreams, command: ExecCommand, begin: ContinuousClock.Instant,
        kill: @escaping @Sendable () -> Void
    ) throws(OCIError) {
        self.process = process
        self.pidfd = pidfd
        self.streams = streams
        self.command = command
        self.begin = begin
        self.kill = kill
        stopped = try WakePipe()
    }

    deinit { close(pidfd) }

    /// Ends the command before its time.
    func stop() { stopped.wake() }

    func run() async -> ExecResult {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let thread = Thread { [self] in continuation.resume(returning: pump()) }
                thread.name = "berth-exec"
                thread.start()
            }
        } onCancel: { stop() }
    }

    private func pump() -> ExecResult {
        var flow = ExecFlow(streams: streams, input: command.input)
        var ending = ExecResult.Ending.itself
        let deadline = begin + command.timeout
        while true {
            let left = (deadline - .now).milliseconds
            if left <= 0 { ending = .timeout; break }
            let events = flow.wait(also: [pidfd, stopped.reader], milliseconds: left)
            if events[0] { break }
            if events[1] { ending = .cancelled; break }
        }
        // The rest of it too: what went into the background holds the outputs open.
        kill()
        let status = reap()
        let end = ContinuousClock.now + Self.patience
        while flow.isOpen, ContinuousClock.now < end {
            flow.stopFeeding()
            _ = flow.wait(also: [], milliseconds: 50)
        }
        var result = ExecResult(exitCode: status.signal == 0 ? Int(status.code) : 128 + Int(status.signal), signal: Int(status.signal))
        (result.output, result.errors) = (flow.output, flow.errors)
        result.ending = ending
        result.milliseconds = (ContinuousClock.now - begin).milliseconds
        return result
    }

    /// How the command's first process ended; as one that was killed, where nobody can say.
    private func reap() -> (code: Int32, signal: Int32) {
        var polled = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        let end = ContinuousClock.now + Self.patience
        while poll(&polled, 1, Int32(clamping: (end - .now).milliseconds)) < 0 && errno == EINTR {}
        var (code, signal): (Int32, Int32) = (0, 0)
        guard clinux_reap(process, &code, &signal) == process else { return (-1, SIGKILL) }
        return (code, signal)
    }
}

/// The pipes of a command's three standard streams.
///
/// Never `/dev/null`: the runtime gives what it hands on to the command's user.
final class ExecPipes {
    /// To become the command's descriptors 0, 1 and 2.
    let theirs: (Int32, Int32, Int32)
    let ours: ExecStreams
    private var isOpen = true

    init() throws(OCIError) {
        var ends: [Int32] = []
        for _ in 0..<3 {
            var pair: [Int32] = [-1, -1]
            let result = clinux_pipe_cloexec(&pair)
            guard result == 0 else {
                for descriptor in ends { close(descriptor) }
                throw .system("pipe2", "", -result)
            }
            ends += pair
        }
        theirs = (ends[0], ends[3], ends[5])
        ours = ExecStreams(input: ends[1], output: ends[2], errors: ends[4])
    }

    /// From here on the command alone decides when its outputs end.
    func closeTheirs() {
        guard isOpen else { return }
        isOpen = false
        for descriptor in [theirs.0, theirs.1, theirs.2] { close(descriptor) }
    }

    deinit { closeTheirs() }
}

/// Our ends of them.
final class ExecStreams: Sendable {
    let input: Int32
    let output: Int32
    let errors: Int32

    /// The descriptors belong to this object.
    init(input: Int32, output: Int32, errors: Int32) {
        (self.input, self.output, self.errors) = (input, output, errors)
        for descriptor in [input, output, errors] { _ = clinux_set_nonblocking(descriptor, 1) }
        // Whoever reads no more answers EPIPE.
        clinux_ignore_sigpipe()
    }

    deinit { for descriptor in [input, output, errors] { close(descriptor) } }
}

/// What went through a command's streams so far.
private struct ExecFlow {
    private let streams: ExecStreams
    private var input: ArraySlice<UInt8>
    private var isFeeding = true
    private var opens = [true, true]
    private(set) var output = ExecResult.Output()
    private(set) var errors = ExecResult.Output()
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)

    init(streams: ExecStreams, input: [UInt8]) {
        self.streams = streams
        self.input = input[...]
        if input.isEmpty { stopFeeding() }
    }

    var isOpen: Bool { opens[0] || opens[1] }

    /// The command reads the end of its input.
    mutating func stopFeeding() {
        guard isFeeding else { return }
        isFeeding = false
        // The descriptor stays ours, and stops being a pipe's: it cannot become somebody else's.
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        if null >= 0 {
            dup2(null, streams.input)
            _ = clinux_set_cloexec(streams.input, 1)
            close(null)
        }
    }

    /// Waits until something can be read or written, or one of `others` has something; does what can be done.
    ///
    /// - Returns: which of `others` have.
    mutating func wait(also others: [Int32], milliseconds: Int) -> [Bool] {
        var polled = others.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let first = polled.count
        for (index, descriptor) in [streams.output, streams.errors].enumerated() {
            polled.append(pollfd(fd: opens[index] ? descriptor : -1, events: Int16(POLLIN), revents: 0))
        }
        polled.append(pollfd(fd: isFeeding ? streams.input : -1, events: Int16(POLLOUT), revents: 0))
        // An interrupted wait has found nothing.
        guard poll(&polled, nfds_t(polled.count), Int32(clamping: max(0, milliseconds))) > 0 else { return others.map { _ in false } }
        if polled[first].revents != 0 { opens[0] = Self.drain(streams.output, &chunk, into: &output) }
        if polled[first + 1].revents != 0 { opens[1] = Self.drain(streams.errors, &chunk, into: &errors) }
        if polled[first + 2].revents != 0 { feed() }
        return polled.prefix(first).map { $0.revents != 0 }
    }

    private mutating func feed() {
        let count = input.withUnsafeBytes { write(streams.input, $0.baseAddress, $0.count) }
        if count > 0 { input = input.dropFirst(count) }
        if input.isEmpty || count < 0 && errno != EAGAIN && errno != EINTR { stopFeeding() }
    }

    /// One piece at a time: who writes without end must not keep the clock from being looked at. `false` at the end.
    private static func drain(_ descriptor: Int32, _ chunk: inout [UInt8], into output: inout ExecResult.Output) -> Bool {
        let count = read(descriptor, &chunk, chunk.count)
        if count > 0 { output.append(chunk[0..<count]) }
        return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
    }
}
