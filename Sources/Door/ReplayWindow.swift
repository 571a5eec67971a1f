/// Which counters of one sender were seen: a bitmap that slides with the highest.
public struct ReplayWindow: Sendable {
    /// Counters that the window remembers.
    public static let size: UInt64 = 65_536

    private var highest: UInt64?
    /// As long as its highest marked counter needs: a sender that has sent little takes little memory.
    private var seen: [UInt64] = []

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
                    let word = Self.word(passed)
                    if passed % 64 == 0, counter - passed >= 63 {
                        if word < seen.count { seen[word] = 0 }
                        passed += 64
                    } else {
                        if word < seen.count { seen[word] &= ~(1 << (passed % 64)) }
                        passed += 1
                    }
                }
            }
            self.highest = counter
            mark(counter)
            return true
        }
        guard highest - counter < Self.size, !isMarked(counter) else { return false }
        mark(counter)
        return true
    }

    private static func word(_ counter: UInt64) -> Int { Int(counter % size / 64) }

    private func isMarked(_ counter: UInt64) -> Bool {
        let word = Self.word(counter)
        return word < seen.count && seen[word] & 1 << (counter % 64) != 0
    }

    private mutating func mark(_ counter: UInt64) {
        let word = Self.word(counter)
        if word >= seen.count {
            let doubled = min(seen.count * 2, Int(Self.size / 64))
            seen.append(contentsOf: repeatElement(0, count: max(word + 1, doubled) - seen.count))
        }
        seen[word] |= 1 << (counter % 64)
    }
}

/// The windows of every sender, 8 KiB each at most. A sender that was silent for longer than any token lives is forgotten; beyond the
/// limit a new one is refused until then. Every start of a gateway or an orchestrator is a new sender, and only a valid token makes one.
public struct ReplayGuard: Sendable {
    /// Senders at most.
    public static let maximumSenders = 1_024
    /// Beyond so many the silent ones are looked for.
    private static let usualSenders = 16
    /// Seconds of silence after which a sender may be forgotten: the longest life of a token, made as early and taken as late as clocks may differ.
    public static let silence: Int64 = HostedToken.maximumLifetime + 2 * HostedToken.skew

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
        if entries.count >= Self.usualSenders { entries.removeAll { now - $0.lastUsed >= Self.silence } }
        guard entries.count < Self.maximumSenders else { return false }
        var window = ReplayWindow()
        let fresh = window.enter(id.counter)
        entries.append(Entry(sender: id.sender, lastUsed: now, window: window))
        return fresh
    }
}
