import MachineAPI

/// How a machine's first process ended.
struct MachineEnd: Sendable, Equatable, CustomStringConvertible {
    var code: Int32?
    var signal: Int32?
    var isOutOfMemory = false

    var description: String {
        if isOutOfMemory { return "oom_killed: it ran out of its memory and was ended by the kernel (--memory gives it more)" }
        if let code { return "exit code \(code)" }
        if let signal { return "signal \(signal)" }
        return "ended, status unknown"
    }

    /// As Fly's clients read it.
    func told(isRequested: Bool, at now: Int64) -> MachineEvent.Exit {
        MachineEvent.Exit(
            exit_code: code.map { Int($0) }, signal: signal.map { Int($0) }, oom_killed: isOutOfMemory, requested_stop: isRequested,
            exited_at: Timestamp.text(now))
    }
}
