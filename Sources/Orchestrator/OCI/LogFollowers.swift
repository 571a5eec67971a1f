/// A part of a machine's log as it is written: whole lines with their ends.
typealias LogPiece = [UInt8]

/// Who reads what a machine writes, as it comes. Lives on the log thread, which never waits: a reader that falls behind loses lines,
/// and is told how many bytes.
final class LogFollowers {
    /// Pieces that may wait for one reader; each is what one read of the machine's pipe gave, 64 KiB and a little.
    static let waiting = 16

    private struct Follower {
        var continuation: AsyncStream<LogPiece>.Continuation
        var skipped = 0
    }

    /// By machine, then by the reader's number.
    private var followers: [String: [Int: Follower]] = [:]

    /// - Parameter tail: what was written before.
    func add(_ machine: String, number: Int, tail: LogPiece, _ continuation: AsyncStream<LogPiece>.Continuation) {
        followers[machine, default: [:]][number] = Follower(continuation: continuation)
        append(tail, to: machine, only: number)
    }

    func remove(_ machine: String, number: Int) {
        followers[machine]?[number] = nil
        if followers[machine]?.isEmpty == true { followers[machine] = nil }
    }

    /// The machine has written.
    func append(_ piece: LogPiece, to machine: String) {
        guard !piece.isEmpty, let numbers = followers[machine]?.keys else { return }
        for number in numbers { append(piece, to: machine, only: number) }
    }

    /// The machine is history: nothing more will come.
    func end(_ machine: String) {
        for follower in followers.removeValue(forKey: machine)?.values.map({ $0 }) ?? [] { follower.continuation.finish() }
    }

    func endAll() { for machine in followers.keys.map({ $0 }) { end(machine) } }

    private func append(_ piece: LogPiece, to machine: String, only number: Int) {
        guard !piece.isEmpty, var follower = followers[machine]?[number] else { return }
        let notice = follower.skipped == 0 ? [] : Array("berth: \(follower.skipped) bytes skipped, they were not read in time\n".utf8)
        switch follower.continuation.yield(notice + piece) {
        case .enqueued: follower.skipped = 0
        case .dropped: follower.skipped += piece.count
        case .terminated: return
        @unknown default: return
        }
        followers[machine]?[number] = follower
    }
}
