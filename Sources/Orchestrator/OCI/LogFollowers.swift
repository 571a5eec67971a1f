import Synchronization

/// A part of a machine's log as it is written: whole lines with their ends.
typealias LogPiece = [UInt8]

/// What waits for one reader of a log. The log thread, which never waits, puts it here; a reader that falls behind loses lines, and is
/// told how many bytes.
final class LogFollower: Sendable {
    /// Bytes that may wait.
    static let limit = 1 << 20

    private struct State {
        var waiting: LogPiece = []
        var skipped = 0
        var isOver = false
    }

    private let state = Mutex(State())
    private let news: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init() { (news, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

    func append(_ piece: LogPiece) {
        guard !piece.isEmpty else { return }
        state.withLock { state in
            guard state.waiting.count + piece.count <= Self.limit else {
                state.skipped += piece.count
                return
            }
            if state.skipped > 0 {
                state.waiting += Array("berth: \(state.skipped) bytes skipped, they were not read in time\n".utf8)
                state.skipped = 0
            }
            state.waiting += piece
        }
        wake.yield()
    }

    /// Nothing more will come; what waits is still read.
    func end() {
        state.withLock { $0.isOver = true }
        wake.finish()
    }

    /// What has come meanwhile, when something has; `nil` at the end, and when the reader is cancelled. For one reader.
    func next() async -> LogPiece? {
        if let piece = take() { return piece }
        for await _ in news { if let piece = take() { return piece } }
        return take()
    }

    private func take() -> LogPiece? {
        state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting.isEmpty ? nil : state.waiting
        }
    }
}

/// Who reads what machines write, as it comes. Lives on the log thread.
final class LogFollowers {
    /// By machine, then by the reader's number.
    private var followers: [String: [Int: LogFollower]] = [:]

    func add(_ machine: String, number: Int, _ follower: LogFollower) { followers[machine, default: [:]][number] = follower }

    func remove(_ machine: String, number: Int) {
        followers[machine]?[number] = nil
        if followers[machine]?.isEmpty == true { followers[machine] = nil }
    }

    /// The machine has written.
    func append(_ piece: LogPiece, to machine: String) {
        for follower in followers[machine]?.values.map({ $0 }) ?? [] { follower.append(piece) }
    }

    /// The machine is history: nothing more will come.
    func end(_ machine: String) {
        for follower in followers.removeValue(forKey: machine)?.values.map({ $0 }) ?? [] { follower.end() }
    }

    func endAll() { for machine in followers.keys.map({ $0 }) { end(machine) } }
}

/// One reader's place; given back when nobody has the stream any more, read or not.
final class LogPlace: Sendable {
    let follower = LogFollower()
    private let left: @Sendable () -> Void

    init(left: @escaping @Sendable () -> Void) { self.left = left }

    deinit { left() }
}
