import CLinux
import Glibc

/// A process that this thread started and waits for.
struct ChildProcess {
    struct Status {
        /// -1 when a signal ended it.
        let code: Int32
        let signal: Int32
    }

    let pid: Int32

    /// Starts a program in a process group of its own; every descriptor but the named ones stays here.
    ///
    /// - Parameters:
    ///   - stdio: what becomes 0, 1 and 2; -1 for `/dev/null`.
    ///   - extra: what becomes 3, 4, ….
    ///   - oomScore: how soon the kernel ends it, and what it starts, for want of memory; 0: as this process.
    init(
        _ path: String, _ arguments: [String], environment: [String], directory: String? = nil, stdio: (Int32, Int32, Int32),
        extra: [Int32] = [], oomScore: Int32 = 0
    ) throws(OCIError) {
        let argv = CStrings([path] + arguments)
        let envp = CStrings(environment)
        let result = extra.withUnsafeBufferPointer { extra in
            path.withCString { path in
                Self.withOptionalCString(directory) { directory in
                    var options = clinux_spawn_options()
                    options.stdio = stdio
                    options.extra = extra.baseAddress
                    options.extra_count = Int32(extra.count)
                    options.new_group = 1
                    options.oom_score_adj = oomScore
                    options.directory = directory
                    return clinux_spawn(path, argv.pointer, envp.pointer, &options)
                }
            }
        }
        guard result > 0 else { throw .system("spawn", path, -result) }
        pid = result
    }

    private static func withOptionalCString<R>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
        guard let text else { return body(nil) }
        return text.withCString { body($0) }
    }

    /// Waits for its end, handing on what it writes meanwhile.
    ///
    /// A descendant that keeps the output open does not prolong the wait: what counts is the process.
    ///
    /// - Throws: `.timedOut`, with the process group killed and the process reaped.
    func wait(timeout: Duration, reading output: Int32 = -1, _ consume: (ArraySlice<UInt8>) -> Void = { _ in }) throws(OCIError) -> Status {
        let pidfd = Descriptor(clinux_pidfd_open(pid))
        let deadline = ContinuousClock.now + timeout
        var open = output >= 0
        if open { _ = clinux_set_nonblocking(output, 1) }
        while true {
            let left = (deadline - .now).milliseconds
            var polled = [pollfd(fd: pidfd.value, events: Int16(POLLIN), revents: 0)]
            if open { polled.append(pollfd(fd: output, events: Int16(POLLIN), revents: 0)) }
            // Without a pidfd (no descriptor was left for one) there is nothing to be woken by.
            let patience = pidfd.value < 0 ? min(left, 20) : left
            let count = poll(&polled, nfds_t(polled.count), Int32(clamping: max(0, patience)))
            if count < 0 && errno == EINTR { continue }
            if open { open = Self.drain(output, consume) }
            if polled[0].revents != 0 || pidfd.value < 0 {
                if let status = reap() {
                    if open { _ = Self.drain(output, consume) }
                    return status
                }
            }
            if left <= 0 {
                kill(-pid, SIGKILL)
                kill(pid, SIGKILL)
                while reap() == nil { usleep(1_000) }
                throw OCIError(.timedOut, "process \(pid) did not end within \(timeout)")
            }
        }
    }

    /// Reads what is there, within bounds; `false` at the end of the stream.
    private static func drain(_ descriptor: Int32, _ consume: (ArraySlice<UInt8>) -> Void) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        for _ in 0..<64 {
            let count = read(descriptor, &chunk, chunk.count)
            if count > 0 {
                consume(chunk[0..<count])
            } else if count == 0 {
                return false
            } else if errno != EINTR {
                return errno == EAGAIN
            }
        }
        return true
    }

    private func reap() -> Status? {
        var code: Int32 = 0
        var signal: Int32 = 0
        let result = clinux_reap(pid, &code, &signal)
        if result == pid { return Status(code: code, signal: signal) }
        // Somebody else reaped it: the end is certain, its status is not.
        return result < 0 ? Status(code: -1, signal: 0) : nil
    }
}

/// A NULL-terminated vector of C strings.
final class CStrings {
    let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointer = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() { pointer[index] = strdup(string) }
        pointer[strings.count] = nil
    }

    deinit {
        for index in 0..<count { free(pointer[index]) }
        pointer.deallocate()
    }
}

extension Duration {
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
