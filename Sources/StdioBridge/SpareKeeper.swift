import NIOCore

/// When to keep one process ready for the session that comes next: a pure value that is told what happens and says what to
/// do about it.
///
/// - The first spare follows the first answered handshake, so that a server that does not start is not started for nobody.
/// - One that a probe spoke to is replaced by one that nobody spoke to, once until the next session comes: a legacy server was told of a
///   client that can be asked nothing, one of both eras was opened in the modern one, and most sessions could not use it.
/// - Once a session with credentials has come there is none: a spare is started with none, and could never be used.
/// - One that waited as long as an idle child may is let go; the next session brings the next spare.
/// - It gives way when the others need its memory.
/// - One that dies unused is replaced after 1 s, 2 s, 4 s, 8 s; after the fifth death in a row only when a session comes.
struct SpareKeeper {
    enum Decision: Equatable {
        case nothing
        case start
        /// Decide again then.
        case wait(TimeAmount)
        case end(String)
    }

    private static let patience = 5
    private let delay: TimeAmount
    private var isOn: Bool
    private var hasCredentials = false
    /// The server has answered a handshake without credentials.
    private var isProven = false
    private var isWanted = false
    private var deaths = 0
    private var notBefore = NIODeadline.uptimeNanoseconds(0)
    /// A session's own process starts, which has the processor to itself: until then at most.
    private var ownStart: NIODeadline?
    private static let longestOwnStart = TimeAmount.seconds(15)
    private var hasReplacedTold = false

    /// - Parameter delay: how long the session that took a spare has the processor to itself.
    init(isOn: Bool, delay: TimeAmount) {
        self.isOn = isOn
        self.delay = delay
    }

    // MARK: What happens

    mutating func handshaken(withCredentials: Bool, now: NIODeadline) {
        if ownStart != nil {
            ownStart = nil
            notBefore = max(notBefore, now + delay)
        }
        if withCredentials || isProven { return }
        isProven = true
        isWanted = true
        notBefore = now + delay
    }

    /// A session without a child came. With `tookSpare` it was spared a start.
    mutating func sessionCame(withCredentials: Bool, tookSpare: Bool, now: NIODeadline) {
        if withCredentials { hasCredentials = true }
        isWanted = true
        hasReplacedTold = false
        if tookSpare { deaths = 0 } else { ownStart = now + Self.longestOwnStart }
        notBefore = max(notBefore, now + delay)
    }

    /// The spare's process ended by itself.
    mutating func died(now: NIODeadline) {
        deaths += 1
        if deaths >= Self.patience { isWanted = false }
        notBefore = now + .seconds(1 << Int64(min(deaths, Self.patience) - 1))
    }

    /// The spare was let go, since nobody came.
    mutating func idled() { isWanted = false }

    /// No more sessions come.
    mutating func close() { isOn = false }

    // MARK: What to do

    /// - Parameters:
    ///   - told: when the spare was last spoken to, where most sessions could not use it for that, and nobody waits for it; else nil.
    ///   - hasRoom: whether a process more would still be within the limits; asked only when one would be started.
    mutating func decide(hasSpare: Bool, told: NIODeadline? = nil, hasRoom: @autoclosure () -> Bool, now: NIODeadline) -> Decision {
        guard isOn else { return .nothing }
        if hasSpare {
            if hasCredentials { return .end("the sessions of this server have credentials") }
            guard let told, !hasReplacedTold else { return .nothing }
            // A probe comes in several requests.
            let end = told + delay * 10
            if now < end { return .wait(end - now) }
            hasReplacedTold = true
            isWanted = true
            return .end("it was told of another client")
        }
        guard isProven, isWanted, !hasCredentials else { return .nothing }
        let earliest = max(notBefore, ownStart ?? notBefore)
        if now < earliest { return .wait(earliest - now) }
        // Without room the end of some child is what asks again.
        return hasRoom() ? .start : .nothing
    }
}
