import Standalone
import Synchronization

/// How long one request of a command may take.
struct TimeLimit: Sendable, Equatable {
    /// Nil for as long as it takes.
    private(set) var limit: Duration?
    /// Whether each word of the server's (progress, a line of its log) begins the time anew.
    private(set) var beginsAnew: Bool

    /// What a server may be silent for where nobody says how long it may take.
    static let usual = 300

    /// - Parameter option: what `--timeout` says, 0 for no limit; without it a server that goes on telling of its progress has all the time.
    init(option: String?) throws {
        let seconds = try option.map { try Self.seconds($0, 0...86_400, hint: "30s, 5m, or seconds, up to a day; 0 is no limit") }
        self.init(seconds == 0 ? nil : .seconds(seconds ?? Self.usual), beginsAnew: seconds == nil)
    }

    /// What a `--timeout` says.
    static func seconds(_ option: String, _ range: ClosedRange<Int>, hint: String) throws -> Int {
        let seconds = option == "0" ? 0 : IdleTime.seconds(option).map(Int.init)
        guard let seconds, range.contains(seconds) else {
            throw Failure(seconds.map { "--timeout \($0) is out of range" } ?? "--timeout '\(option.prefix(64))' is no time", hint: hint, code: 64)
        }
        return seconds
    }

    init(_ limit: Duration?, beginsAnew: Bool) {
        self.limit = limit
        self.beginsAnew = beginsAnew
    }

    private enum Event<T: Sendable>: Sendable {
        case outcome(T)
        case timeIsUp
        /// The other one was first, or somebody gave up.
        case cancelled
    }

    /// Runs `body`, which is cancelled when the time is up, and is to call what it gets for each word of the server's.
    ///
    /// - Parameter what: what is waited for: a method.
    /// - Throws: ``TimeIsUp``, once `body` has ended.
    func run<T: Sendable>(
        _ what: String, _ body: @escaping @Sendable (_ heard: @escaping @Sendable () -> Void) async -> T
    ) async throws(TimeIsUp) -> T {
        guard let limit else { return await body {} }
        let words = Words(limit)
        let outcome: T? = await withTaskGroup(of: Event<T>.self) { group in
            group.addTask { [beginsAnew] in
                // From here on, and not from when it was to begin: a busy process may be late with that.
                words.heard()
                return .outcome(await body { if beginsAnew { words.heard() } })
            }
            group.addTask {
                while words.end > .now {
                    guard (try? await Task.sleep(until: words.end, clock: .continuous)) != nil else { return .cancelled }
                }
                return .timeIsUp
            }
            var isLate = false
            for await event in group {
                switch event {
                case .outcome(let outcome):
                    group.cancelAll()
                    return isLate ? nil : outcome
                case .timeIsUp:
                    isLate = true
                    group.cancelAll()
                case .cancelled: break
                }
            }
            return nil
        }
        if let outcome { return outcome }
        let silence = beginsAnew ? "no word from the server about \(what) for" : "no answer to \(what) within"
        throw TimeIsUp(failure: Failure("\(silence) \(limit.components.seconds) s: it was cancelled", hint: TimeIsUp.longer))
    }

    /// When the time is up, if the server says nothing more.
    private final class Words: Sendable {
        private let limit: Duration
        /// Nil before it has begun.
        private let last = Mutex<ContinuousClock.Instant?>(nil)

        init(_ limit: Duration) { self.limit = limit }

        var end: ContinuousClock.Instant { (last.withLock { $0 } ?? .now) + limit }

        func heard() { last.withLock { $0 = .now } }
    }
}

/// A request took longer than it may.
struct TimeIsUp: Explained {
    static let longer = "--timeout SECONDS waits longer, --timeout 0 without end"

    var failure: Failure
}
