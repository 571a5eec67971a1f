import Glibc
import NIOCore
import NIOPosix

/// Why a connection did not come about, for people.
enum ConnectFailure {
    /// The system's words and its number, for example `Connection refused (errno: 111)`; other errors as they say it themselves.
    static func words(_ error: any Error) -> String {
        switch error {
        case let failure as IOError: return "\(String(cString: strerror(failure.errnoCode))) (errno: \(failure.errnoCode))"
        case let failure as NIOConnectionError:
            // Of several addresses the last one tried says as much as any.
            guard let last = failure.connectionErrors.last else { return "no address is known of \(failure.host)" }
            return words(last.error)
        case ChannelError.connectTimeout(let time): return "no answer within \(time.nanoseconds / 1_000_000_000) s"
        default: return "\(error)"
        }
    }
}
