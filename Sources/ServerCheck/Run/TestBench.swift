import Glibc
import Standalone
import StdioBridge
import Wire

/// One server behind a bridge, and all that is seen of it there.
struct TestBench: Sendable {
    let settings: CheckSettings
    let bridge: ObservedBridge
    let traffic: Traffic
    let http: BridgeHTTP
    let progress: @Sendable (String) -> Void

    /// How the process of one session fares.
    func report(session: String) async -> ChildReport? { await bridge.reports().first { $0.session == session } }

    /// Looks again every few milliseconds.
    ///
    /// - Returns: whether it came true in time.
    func eventually(within milliseconds: Int, _ condition: () async -> Bool) async -> Bool {
        let end = ContinuousClock.now + .milliseconds(milliseconds)
        while !(await condition()) {
            guard ContinuousClock.now < end, !Task.isCancelled else { return false }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return true
    }

    static func isAlive(_ process: pid_t) -> Bool { kill(process, 0) == 0 || errno != ESRCH }

    /// Since `start`.
    static func milliseconds(since start: ContinuousClock.Instant) -> Int {
        let time = (ContinuousClock.now - start).components
        return Int(time.seconds) * 1_000 + Int(time.attoseconds / 1_000_000_000_000_000)
    }
}
