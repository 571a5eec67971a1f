import NIOCore

/// Answers that outlive the process that gave them: beside a question of its own, before whoever was asked came back. They are found by
/// the state of that round alone, and by nothing that a process counts, since the next one counts from the start.
public struct KeptAnswers {
    /// Of one process, or of several that died in a row.
    private static let limit = Suspensions.limit

    private struct Answer {
        var method: String
        var target: String?
        var arguments: Int
        var outcome: MCPOutcome
    }

    private var answers: [String: Answer] = [:]

    public init() {}

    public var isEmpty: Bool { answers.isEmpty }

    mutating func keep(_ outcome: MCPOutcome, of entry: Suspensions.Entry, under handle: String) {
        answers[handle] = Answer(method: entry.method, target: entry.target, arguments: entry.arguments, outcome: outcome)
    }

    /// Those of a process that has ended now. With too many, the ones before it are forgotten: what one process is owed is bounded.
    public mutating func add(_ newer: KeptAnswers) {
        if answers.count + newer.answers.count > Self.limit || bytes + newer.bytes > Suspensions.byteLimit { answers = [:] }
        answers.merge(newer.answers) { $1 }
    }

    private var bytes: Int { answers.values.reduce(0) { $0 + $1.outcome.readableBytes } }

    /// The answer to a request that comes back for it, once; to one that only waits for there to be one, that there is.
    public mutating func answer(to request: MCPRequest) -> MCPOutcome? {
        guard let (handle, found) = find(request) else { return nil }
        if request.isWait { return PendingCall.settled }
        answers[handle] = nil
        return found.outcome
    }

    /// Whether this request comes back for an answer that is kept here.
    public func has(_ request: MCPRequest) -> Bool { find(request) != nil }

    private func find(_ request: MCPRequest) -> (handle: String, answer: Answer)? {
        guard !answers.isEmpty, let handle = request.handle, let found = answers[handle],
            request.says(found.method, of: found.target, with: found.arguments)
        else { return nil }
        return (handle, found)
    }
}
