import CLinux
import Glibc

/// Waits for the end of the supervisor (standard input is a pipe that it holds) or for SIGTERM or SIGINT.
enum Lifeline {
    nonisolated(unsafe) private static var wakeWrite: Int32 = -1

    static func untilStopped() async {
        var pipe: [Int32] = [-1, -1]
        guard clinux_pipe_cloexec(&pipe) == 0 else { return }
        wakeWrite = pipe[1]
        let wakeRead = pipe[0]
        for number in [SIGTERM, SIGINT] {
            signal(number) { _ in
                var byte: UInt8 = 1
                _ = write(Lifeline.wakeWrite, &byte, 1)
            }
        }
        await withCheckedContinuation { continuation in
            let waiter = WaitThread(wake: wakeRead) { continuation.resume() }
            waiter.start()
        }
    }
}

/// A thread of its own, since `poll` blocks.
private struct WaitThread {
    let wake: Int32
    let body: @Sendable () -> Void

    func start() {
        let box = Unmanaged.passRetained(Box(wake: wake, body: body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let box = Unmanaged<Box>.fromOpaque(raw).takeRetainedValue()
                var buffer = [UInt8](repeating: 0, count: 64)
                while true {
                    var polls = [pollfd(fd: 0, events: Int16(POLLIN), revents: 0), pollfd(fd: box.wake, events: Int16(POLLIN), revents: 0)]
                    if poll(&polls, 2, -1) < 0 && errno == EINTR { continue }
                    if polls[1].revents != 0 { break }
                    if polls[0].revents != 0, read(0, &buffer, buffer.count) <= 0 { break }
                }
                box.body()
                return nil
            }, box.toOpaque())
        if result == 0 {
            pthread_detach(thread)
        } else {
            box.release()
            body()
        }
    }

    private final class Box {
        let wake: Int32
        let body: @Sendable () -> Void
        init(wake: Int32, body: @escaping @Sendable () -> Void) {
            self.wake = wake
            self.body = body
        }
    }
}
