import NIOCore

/// Whether anybody uses a machine: the requests under way at its door, and since when there are none. A pure value.
///
/// Berth's own looks (`/stats`, `/readyz`) are no use.
struct DoorUse {
    /// Requests that have no outcome yet.
    private(set) var open = 0
    private var lastEnd: NIODeadline
    private var closedUntil: NIODeadline?

    /// Within this time whoever had an idle machine take no more calls has ended it. One that was forgotten serves on after it.
    static let closedTime = TimeAmount.seconds(60)

    init(now: NIODeadline) { lastEnd = now }

    mutating func begin() { open += 1 }

    mutating func end(now: NIODeadline) {
        open -= 1
        lastEnd = max(lastEnd, now)
    }

    /// It takes no calls for a while.
    mutating func close(now: NIODeadline) { closedUntil = now + Self.closedTime }

    func isClosed(now: NIODeadline) -> Bool { closedUntil.map { now < $0 } ?? false }

    /// How long nobody has used it; nil while somebody does.
    ///
    /// - Parameter isWaiting: it waits for an answer of a client's, which is no request at the door.
    func idle(now: NIODeadline, isWaiting: Bool) -> TimeAmount? {
        open > 0 || isWaiting ? nil : max(.zero, now - lastEnd)
    }
}

extension TimeAmount {
    var milliseconds: Int { Int(nanoseconds / 1_000_000) }
}
