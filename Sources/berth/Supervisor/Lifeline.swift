import AuthorCommands
import CLinux
import Foundation
import Glibc

/// Says when the process should end: standard input, a pipe that the supervisor holds, has ended, or SIGTERM or SIGINT came.
/// One for each process.
final class Lifeline: Sendable {
    private let reasons: AsyncStream<String>

    /// - Parameter watchesInput: its end is the end of the supervisor.
    init(watchesInput: Bool = true) throws {
        let signals = [SIGTERM, SIGINT]
        let pipe = clinux_signal_pipe(signals, Int32(signals.count))
        guard pipe >= 0 else { throw Failure("no signals: \(String(cString: strerror(-pipe)))") }
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        reasons = stream
        // A thread of its own, since `poll` blocks.
        let thread = Thread {
            var polls = [pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)]
            if watchesInput { polls.append(pollfd(fd: 0, events: Int16(POLLIN), revents: 0)) }
            while true {
                guard poll(&polls, nfds_t(polls.count), -1) > 0 else { continue }
                if polls[0].revents != 0 {
                    continuation.yield("signal")
                    var bytes = [UInt8](repeating: 0, count: 16)
                    _ = read(pipe, &bytes, bytes.count)
                }
                if polls.count > 1, polls[1].revents != 0 {
                    var bytes = [UInt8](repeating: 0, count: 256)
                    let count = read(0, &bytes, bytes.count)
                    if count == 0 || count < 0 && errno != EINTR && errno != EAGAIN {
                        continuation.yield("standard input ended")
                        polls.removeLast()
                    }
                }
            }
        }
        thread.name = "berth-lifeline"
        thread.start()
    }

    /// Returns when it is time to end, and why.
    func end() async -> String {
        for await reason in reasons { return reason }
        return "cancelled"
    }
}
