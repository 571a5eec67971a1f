import Foundation
import Glibc

/// Named places at which a test can end the process as a power cut would, to prove that what is left gets cleaned up.
///
/// Debug builds only: `BERTH_FAILPOINT=bundle` ends the process with SIGKILL when it comes by. In a release
/// build `hit` does nothing and the variable is not read.
public enum Failpoint {
    #if DEBUG
        private static let armed = ProcessInfo.processInfo.environment["BERTH_FAILPOINT"]
    #endif

    /// Passes the place called `name`.
    @inlinable
    public static func hit(_ name: StaticString) {
        #if DEBUG
            _hit(name)
        #endif
    }

    #if DEBUG
        @usableFromInline
        static func _hit(_ name: StaticString) {
            guard armed == name.description else { return }
            // The name in the log is the proof that it was here. Unbuffered: nothing is written after this.
            let line = Array("failpoint \(name)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            kill(getpid(), SIGKILL)
        }
    #endif
}
