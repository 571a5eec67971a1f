import Dispatch
import Glibc
import Standalone
import StdioBridge
import Synchronization

/// INT, TERM and HUP while a command talks to a server: the first cancels, the second ends the process and all that it started.
final class Interruption: Sendable {
    private let signals = Mutex<Int32>(0)
    nonisolated(unsafe) private let sources: [any DispatchSourceSignal]

    init(_ cancel: @escaping @Sendable () -> Void) {
        let numbers = EndSignals.all
        sources = numbers.map { number in
            signal(number, SIG_IGN)
            return DispatchSource.makeSignalSource(signal: number, queue: .global())
        }
        for (source, number) in zip(sources, numbers) {
            source.setEventHandler { [self] in
                let isFirst = signals.withLock { last in
                    defer { last = number }
                    return last == 0
                }
                if isFirst { return cancel() }
                ProcessTable.killDescendants(within: 1_000)
                _exit(128 + number)
            }
            source.activate()
        }
    }

    /// The signal that came; 0 for none.
    var cameAs: Int32 { signals.withLock { $0 } }
}
