import Glibc

/// What asks a program of ours to end.
package enum EndSignals {
    /// INT, TERM, and HUP, which a terminal that is closed sends; not where whoever started us said that it is nothing to us, as `nohup` does.
    package static var all: [Int32] { [SIGINT, SIGTERM] + (isIgnored(SIGHUP) ? [] : [SIGHUP]) }

    private static func isIgnored(_ number: Int32) -> Bool {
        var now = sigaction()
        guard sigaction(number, nil, &now) == 0 else { return false }
        return unsafeBitCast(now.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
