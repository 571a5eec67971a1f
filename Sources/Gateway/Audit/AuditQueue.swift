/// What waits for the projection, and when it is worth a transaction. Pure: the store locks it and does what it answers.
struct AuditQueue {
    /// What whoever changed the queue has to do now.
    enum Action {
        case nothing
        /// Wake the projection; it lets a batch gather.
        case wake
        /// Wake it, and let it wait no longer.
        case hurry
    }

    /// What one round of the projection takes.
    struct Batch {
        var round: Int64
        var rows: [AuditRow]
        /// Read the journal instead: rows are missing here.
        var isBehind: Bool
        fileprivate var end: Int64
    }

    /// Rows that are a transaction without waiting for more.
    static let fullBatch = 256
    /// Rows that may wait in memory; beyond that the journal on disk is the queue.
    static let maximumWaiting = 4_096

    private var rows: [AuditRow] = []
    private var isBehind = true
    /// A round that reads the journal is under way.
    private var isCatchingUp = false
    /// Rows ever added, and how many of them are in the projection.
    private var added: Int64 = 0
    private var projected: Int64 = 0
    /// The last round that began.
    private var round: Int64 = 0
    private var isAwake = false
    private(set) var isUrgent = false
    private var isFailing = false
    private var isClosed = false

    /// Takes rows that the journal holds.
    mutating func add(_ new: [AuditRow]) -> Action {
        added += Int64(new.count)
        if !isBehind {
            if rows.count + new.count > Self.maximumWaiting {
                rows = []
                isBehind = true
            } else {
                rows.append(contentsOf: new)
            }
            if isBehind || rows.count >= Self.fullBatch { return hurry() }
        }
        defer { isAwake = true }
        return isAwake ? .nothing : .wake
    }

    /// Asks for everything that was added before; answers the round after which it is there, or nil when it is already.
    mutating func request() -> (round: Int64, action: Action)? {
        guard !isClosed, isBehind || isCatchingUp || projected < added else { return nil }
        // A round that has begun may have left out the latest rows.
        return (round + 1, hurry())
    }

    /// Lets the projection wait no longer.
    mutating func hurry() -> Action {
        defer { (isAwake, isUrgent) = (true, true) }
        return isUrgent ? .nothing : .hurry
    }

    /// Begins a round with everything that waits.
    mutating func take() -> Batch {
        round += 1
        let batch = Batch(round: round, rows: rows, isBehind: isBehind, end: added)
        rows = []
        (isCatchingUp, isBehind, isAwake, isUrgent) = (isBehind, false, false, false)
        return batch
    }

    /// A round's rows are in the projection. Answers whether the round before had failed.
    mutating func succeeded(_ batch: Batch) -> Bool {
        projected = batch.end
        isCatchingUp = false
        defer { isFailing = false }
        return isFailing
    }

    /// A round's rows are not in the projection. Answers whether that is new.
    mutating func failed() -> Bool {
        rows = []
        (isBehind, isCatchingUp) = (true, false)
        defer { isFailing = true }
        return !isFailing
    }

    /// Nobody waits for a round from now on.
    mutating func close() { isClosed = true }
}
