import CLinux
import Glibc

/// Reaps the dead children that nobody waits for: what a killed runtime left, and this process inherited as subreaper.
///
/// A dead child is left alone for a while, since whoever started it may be about to wait for it.
struct OrphanSweep {
    /// How often to look.
    let interval: Duration
    /// How long a dead child may wait for whoever started it.
    let grace: Duration
    private var seen: [Int32: ContinuousClock.Instant] = [:]

    init(interval: Duration = .seconds(2), grace: Duration = .seconds(5)) {
        self.interval = interval
        self.grace = grace
    }

    /// - Parameter isWatched: whether somebody will reap this one for certain.
    mutating func run(now: ContinuousClock.Instant, isWatched: (Int32) -> Bool) {
        // One cheap question nearly always ends it.
        let dead = clinux_peek_dead_child() > 0 ? Self.deadChildren().filter { !isWatched($0) } : []
        for pid in overdue(dead, now: now) { Self.reap(pid) }
    }

    /// Which of the dead have waited for longer than the grace.
    mutating func overdue(_ dead: [Int32], now: ContinuousClock.Instant) -> [Int32] {
        seen = Dictionary(uniqueKeysWithValues: dead.map { ($0, seen[$0] ?? now) })
        return dead.filter { pid in seen[pid].map { now - $0 >= grace } ?? false }
    }

    @discardableResult
    static func reap(_ pid: Int32) -> Int32 {
        var code: Int32 = 0
        var signal: Int32 = 0
        return clinux_reap(pid, &code, &signal)
    }

    private static func deadChildren() -> [Int32] {
        let own = String(getpid())
        return Files.names("/proc").compactMap { name in
            guard let pid = Int32(name), let text = Files.read("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
            // State and parent follow the program's name, which may hold anything.
            let fields = text[text.index(after: end)...].split(separator: " ", maxSplits: 2)
            return fields.count > 1 && fields[0] == "Z" && fields[1] == own ? pid : nil
        }
    }
}
