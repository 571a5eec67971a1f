import Glibc

/// How a process ended.
public enum ExitStatus: Sendable, Equatable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)

    public var description: String {
        switch self {
        case .code(let code): "exited with status \(code)"
        case .signal(let number): "was killed by signal \(number)"
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
