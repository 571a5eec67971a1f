import Glibc

/// Why the machine layer could not do something, and what an operator can do about it.
public struct OCIError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure; stable, for programs.
    public enum Code: String, Sendable {
        /// Neither crun nor runc was found.
        case noRuntime
        /// `OCIRuntime.prepareProcess()` did not run, or ran too late.
        case notPrepared
        /// The specification cannot become a machine.
        case invalidSpec
        /// The container runtime answered with an error.
        case runtimeFailed
        /// The container runtime, or another host command, did not end in time.
        case timedOut
        /// Something of the machine is still there after its removal.
        case notRemoved
        /// No process of this machine lives.
        case notRunning
        /// The operating system refused a call.
        case system
    }

    public let code: Code
    public let message: String
    /// What to do about it; empty when nothing better than the message is known.
    public let hint: String

    public init(_ code: Code, _ message: String, hint: String = "") {
        self.code = code
        self.message = message
        self.hint = hint
    }

    public var description: String {
        hint.isEmpty ? "\(code.rawValue): \(message)" : "\(code.rawValue): \(message) (\(hint))"
    }

    /// The error of a failed system call.
    ///
    /// - Parameter number: the call's `errno`, positive.
    static func system(_ call: String, _ object: String, _ number: Int32) -> OCIError {
        OCIError(.system, "\(call) \(object): \(String(cString: strerror(number)))")
    }
}
