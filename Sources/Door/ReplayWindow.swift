/// Which counters of one sender were seen: a bitmap that slides with the highest.
public struct ReplayWindow: Sendable {
    /// Counters that the window remembers.
    public static let size: UInt64 = 65_536

    private var highest: UInt64?
    private var seen = [UInt64](repeating: 0, count: Int(size / 64))

    public init() {}

    /// Enters `counter`; false when it was entered before or lies below the window.
    public mutating func enter(_ counter: UInt64) -> Bool {
        guard let highest else {
            self.highest = counter
            mark(counter)
            return true
        }
        if counter > highest {
            if counter - highest >= Self.size {
                for index in seen.indices { seen[index] = 0 }
            } else {
                var passed = highest + 1
                while passed <= counter {
                    if passed % 64 == 0, counter - passed >= 63 {
                        seen[Int(passed % Self.size / 64)] = 0
                        passed += 64
                    } else {
                        seen[Int(passed % Self.size / 64)] &= ~(1 << (passed % 64))
                        passed += 1
                    }
                }
            }
            self.highest = counter
            mark(counter)
            return true
        }
        guard highest - counter < Self.size, seen[Int(counter % Self.size / 64)] & 1 << (counter % 64) == 0 else { return false }
        mark(counter)
        return true
    }

    private mutating func mark(_ counter: UInt64) {
        seen[Int(counter % Self.size / 64)] |= 1 << (counter % 64)
    }
}

/// The windows of every sender: 16 at most, 8 KiB each. A new sender takes the place of one that was silent for longer
/// than any token lives; until there is one, it is refused.
public struct ReplayGuard: Sendable {
    /// Senders at most.
    public static let maximumSenders = 16
    /// Seconds of silence after which a sender may be forgotten: the longest life and the skew.
    public static let silence: Int64 = HostedToken.maximumLifetime + HostedToken.skew

    private struct Entry {
        var sender: UInt64
        var lastUsed: Int64
        var window: ReplayWindow
    }
    private var entries: [Entry] = []

    public init() {}

    /// How many senders are remembered.
    public var senders: Int { entries.count }

    /// Enters the id of a token that passed every other check; false when it must be refused as a replay.
    public mutating func enter(_ id: HostedToken.ID, now: Int64) -> Bool {
        if let index = entries.firstIndex(where: { $0.sender == id.sender }) {
            entries[index].lastUsed = max(entries[index].lastUsed, now)
            return entries[index].window.enter(id.counter)
        }
        if entries.count >= Self.maximumSenders {
            guard let oldest = entries.indices.min(by: { entries[$0].lastUsed < entries[$1].lastUsed }),
                now - entries[oldest].lastUsed >= Self.silence
            else { return false }
            entries.remove(at: oldest)
        }
        var window = ReplayWindow()
        let fresh = window.enter(id.counter)
        entries.append(Entry(sender: id.sender, lastUsed: now, window: window))
        return fresh
    }
}
