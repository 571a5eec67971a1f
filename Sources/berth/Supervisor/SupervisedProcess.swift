import AuthorCommands
import CLinux
import Glibc

/// One of the two processes: its pid, the pipe that keeps it alive, the pipe on which it says that it is ready.
struct SupervisedProcess {
    let name: String
    let arguments: [String]
    private(set) var pid: pid_t = 0
    private(set) var pidfd: Int32 = -1
    private(set) var output: Int32 = -1
    private var lifeline: Int32 = -1
    private(set) var isReady = false
    private(set) var failures = 0
    private(set) var lastLine: String?
    private var notBefore: Int64 = 0
    private var startedAt: Int64 = 0
    private var pending: [UInt8] = []

    init(name: String, arguments: [String]) {
        self.name = name
        self.arguments = arguments
    }

    /// Until the next attempt; nil while it runs.
    var millisecondsToStart: Int64? { pid > 0 ? nil : max(0, notBefore - Self.now()) }

    mutating func startIfDue(previousReady: Bool) {
        guard pid == 0, previousReady, Self.now() >= notBefore else { return }
        var input: [Int32] = [-1, -1]
        var outputs: [Int32] = [-1, -1]
        let pipes = (clinux_pipe_cloexec(&input), clinux_pipe_cloexec(&outputs))
        guard pipes.0 == 0, pipes.1 == 0 else {
            for descriptor in input + outputs where descriptor >= 0 { close(descriptor) }
            return postpone("no pipe: \(String(cString: strerror(-min(pipes.0, pipes.1))))")
        }
        var options = clinux_spawn_options()
        options.stdio = (input[0], outputs[1], 2)
        options.new_session = 1
        let child = CStrings.with([name] + arguments, program: "berth") { argv in
            CStrings.with(ProcessEnvironment.passed()) { envp in clinux_spawn("/proc/self/exe", argv, envp, &options) }
        }
        close(input[0])
        close(outputs[1])
        guard child > 0 else {
            close(input[1])
            close(outputs[0])
            return postpone("it does not start: \(String(cString: strerror(-child)))")
        }
        pid = child
        pidfd = clinux_pidfd_open(child)
        lifeline = input[1]
        output = outputs[0]
        startedAt = Self.now()
    }

    /// Lines of its standard output; `ready` is the only one that means something.
    mutating func readOutput() {
        var chunk = [UInt8](repeating: 0, count: 4_096)
        let count = chunk.withUnsafeMutableBytes { read(output, $0.baseAddress, $0.count) }
        guard count > 0 else {
            if count == 0 || errno != EINTR { close(output); output = -1 }
            return
        }
        pending += chunk.prefix(count)
        while let end = pending.firstIndex(of: 10) {
            let line = String(decoding: pending[..<end], as: UTF8.self)
            pending.removeSubrange(...end)
            if line == "ready" { isReady = true } else { lastLine = line }
        }
        if pending.count > 65_536 { pending.removeAll() }
    }

    /// - Returns: how it ended, when it has.
    mutating func reap() -> String? {
        var code: Int32 = 0
        var signal: Int32 = 0
        guard clinux_reap(pid, &code, &signal) == pid else { return nil }
        while output >= 0, Self.hasInput(output) { readOutput() }
        backOff()
        closeAll()
        return signal != 0 ? "signal \(signal)" : "exit \(code)"
    }

    private mutating func backOff() {
        // One that had come up is started again at once or nearly so; only one that cannot start is left longer and longer.
        failures = Self.now() - startedAt > 60_000 ? 1 : isReady ? min(failures + 1, 2) : failures + 1
        let delays: [Int64] = [0, 200, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000]
        notBefore = Self.now() + delays[min(failures, delays.count) - 1]
    }

    /// It could not be started (no descriptor, no process left): tried again later, as after an end.
    private mutating func postpone(_ reason: String) {
        lastLine = reason
        startedAt = Self.now()
        backOff()
        Output.error("supervisor: \(name): \(reason)")
    }

    /// Ends it in order: the lifeline first, then TERM, then KILL.
    mutating func stop(seconds: Int64) {
        guard pid > 0 else { return }
        if lifeline >= 0 { close(lifeline); lifeline = -1 }
        kill(pid, SIGTERM)
        let deadline = Self.now() + seconds * 1_000
        var isEnded = false
        while !isEnded {
            var one = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            let rest = deadline - Self.now()
            if rest <= 0 { kill(pid, SIGKILL) }
            poll(&one, 1, Int32(max(rest, 2_000)))
            var code: Int32 = 0
            var signal: Int32 = 0
            isEnded = clinux_reap(pid, &code, &signal) != 0
        }
        closeAll()
    }

    private mutating func closeAll() {
        for descriptor in [pidfd, output, lifeline] where descriptor >= 0 { close(descriptor) }
        pid = 0
        pidfd = -1
        output = -1
        lifeline = -1
        isReady = false
        pending = []
    }

    private static func hasInput(_ descriptor: Int32) -> Bool {
        var one = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&one, 1, 0) > 0
    }

    private static func now() -> Int64 {
        clinux_monotonic_milliseconds()
    }
}

/// Arrays of C strings for `exec`.
enum CStrings {
    static func with<R>(_ strings: [String], program: String? = nil, _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
        var pointers = ([program].compactMap { $0 } + strings).map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}

/// What the processes need of our environment: paths, test hooks, nothing else.
enum ProcessEnvironment {
    static func passed() -> [String] {
        let names: [String] = ["PATH", "LANG", "TZ", "SSL_CERT_FILE", "BERTH_FAILPOINT", "BERTH_LOG_LEVEL", "SWIFT_BACKTRACE"]
        return names.compactMap { name in getenv(name).map { value in name + "=" + String(cString: value) } }
    }
}
