/// How much of a machine's output is kept: a token bucket over bytes, and a notice of what was dropped.
///
/// Everything is read, always: a full pipe that nobody reads would stop the machine.
struct LogBudget {
    enum Verdict: Equatable {
        case keep
        case drop
        /// Keep the line, after saying that this many bytes before it were dropped.
        case keepAfterNotice(dropped: Int)
    }

    let capacity: Int
    let bytesPerSecond: Int
    private var available: Double
    private var last: ContinuousClock.Instant
    private(set) var dropped = 0

    init(capacity: Int = 1 << 20, bytesPerSecond: Int = 128 << 10, now: ContinuousClock.Instant) {
        self.capacity = capacity
        self.bytesPerSecond = bytesPerSecond
        available = Double(capacity)
        last = now
    }

    mutating func admit(_ bytes: Int, now: ContinuousClock.Instant) -> Verdict {
        available = min(Double(capacity), available + Double((now - last).milliseconds) / 1_000 * Double(bytesPerSecond))
        if (now - last).milliseconds > 0 { last = now }
        // After a flood some room is saved first, or notices and lines would alternate.
        let wanted = dropped == 0 ? Double(bytes) : Double(bytes + capacity / 8)
        guard available >= wanted else {
            dropped += bytes
            return .drop
        }
        available -= Double(bytes)
        guard dropped > 0 else { return .keep }
        defer { dropped = 0 }
        return .keepAfterNotice(dropped: dropped)
    }
}

/// Cuts a stream of bytes into lines that are bounded and safe to show in a terminal.
struct LogLines {
    static let limit = 8 << 10
    private var partial: [UInt8] = []
    private var isCut = false

    /// Hands over each whole line, without its end.
    mutating func append(_ bytes: ArraySlice<UInt8>, _ line: ([UInt8]) -> Void) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                line(partial)
                partial.removeAll(keepingCapacity: true)
                isCut = false
            } else if partial.count < Self.limit {
                // Control characters could steer the terminal of whoever reads the log.
                partial.append(byte < 0x20 && byte != 0x09 || byte == 0x7f ? UInt8(ascii: "?") : byte)
                if byte & 0xC0 == 0x80 { replaceSteering() }
            } else if !isCut {
                partial.append(contentsOf: Array(" [cut]".utf8))
                isCut = true
            }
        }
    }

    /// The same for what steers in two or three bytes: C1 controls, and what reorders or breaks a line.
    private mutating func replaceSteering() {
        let end = partial.suffix(3)
        let last = end.last ?? 0
        let count: Int
        switch (end.dropLast().last, end.dropLast(2).last) {
        case (0xC2, _) where last < 0xA0: count = 2
        case (0x80, 0xE2) where (0xA8...0xAE).contains(last): count = 3
        case (0x81, 0xE2) where (0xA6...0xA9).contains(last): count = 3
        default: return
        }
        partial.removeLast(count)
        partial.append(UInt8(ascii: "?"))
    }

    /// What follows the last line end, as a line, when nothing more will come.
    mutating func finish(_ line: ([UInt8]) -> Void) {
        guard !partial.isEmpty else { return }
        line(partial)
        partial.removeAll()
        isCut = false
    }
}
