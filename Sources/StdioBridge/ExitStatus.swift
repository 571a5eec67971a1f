import Glibc

/// How a process ended.
public enum ExitStatus: Sendable, Equatable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)
    /// The kernel ended it for want of memory.
    case outOfMemory

    public var description: String {
        switch self {
        case .code(let code): "exited with status \(code)"
        case .signal(let number): "was killed by signal \(number)"
        case .outOfMemory: "ran out of its machine's memory and was ended by the kernel (oom_killed; --memory gives it more)"
        }
    }
}

/// Why a process could not be started.
public struct SpawnFailure: Error, Sendable, Equatable, CustomStringConvertible {
    public var errno: Int32
    public var step: String

    public init(errno: Int32, step: String) {
        self.errno = errno
        self.step = step
    }

    public var description: String { "\(step): \(String(cString: strerror(errno)))" }
}
