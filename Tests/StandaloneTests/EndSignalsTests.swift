import Glibc
import Testing

@testable import Standalone

@Suite(.serialized) struct EndSignalsTests {
    /// What `nohup` says holds.
    @Test func aClosedTerminalEndsUsUnlessItIsNothingToUs() {
        let before = signal(SIGHUP, SIG_DFL)
        defer { signal(SIGHUP, before) }
        #expect(EndSignals.all == [SIGINT, SIGTERM, SIGHUP])
        signal(SIGHUP, SIG_IGN)
        #expect(EndSignals.all == [SIGINT, SIGTERM])
    }
}
