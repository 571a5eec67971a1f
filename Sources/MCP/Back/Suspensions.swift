import NIOCore

/// Calls of a legacy child that wait for an answer of their client. Such a server asks in the middle of a call; in the modern dialect
/// that call ends with `input_required`, and the same request comes again with the answers. Meanwhile the child's call stays open here.
struct Suspensions {
    /// One question of the child.
    struct Question {
        /// The child's id of it, raw.
        var id: ByteBuffer
        var request: InputRequest
        /// Calls that were open when it came: it names none, and is one of theirs.
        var candidates: Set<Int>
        /// No result has named it yet.
        var isNew = true
    }

    struct Entry {
        /// The id of the call towards the child.
        var id: Int
        var method: String
        /// `params.name` or `params.uri` of the call: the retry must name the same.
        var target: String?
        /// Of its `params.arguments`: the retry must say the same.
        var arguments: Int
        /// Whose call it is.
        var client: ClientName
        var questions: [Question]
        /// The child's answer, when it did not wait for its question's.
        var outcome: MCPOutcome?
        /// Who wants to hear that no answer is needed any more.
        var watcher: CallID?

        /// What the client was asked was taken back: it has nothing left to answer.
        var hasNothingToAsk: Bool { questions.allSatisfy(\.isNew) }

        /// The call is over, and nobody waits for what the client was asked.
        func isSettled(_ isOpen: (Int) -> Bool) -> Bool {
            outcome != nil && questions.allSatisfy { $0.isNew || !$0.candidates.contains(where: isOpen) }
        }
    }

    /// What two equal texts have in common, and no two others but by a chance of one in 2^64.
    static func fingerprint(_ arguments: ByteBuffer?) -> Int {
        var hasher = Hasher()
        arguments?.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        hasher.combine(arguments?.readableBytes)
        return hasher.finalize()
    }

    /// At a time, for one child.
    static let limit = 32
    /// Bytes of questions and outcomes that are kept, for one child.
    static let byteLimit = 16 << 20

    private var entries: [String: Entry] = [:]
    private var handles: [Int: String] = [:]

    /// Questions of no call, by their handles.
    private var questions: [String: Question] = [:]

    var callCount: Int { entries.count }
    var count: Int { entries.count + questions.count }
    var isFull: Bool { count >= Self.limit }
    var questionHandles: [String] { questions.keys.sorted() }
    var allHandles: [String] { entries.keys.sorted() + questionHandles }
    /// Whether a question of no call waits under this handle.
    func holds(_ handle: String) -> Bool { questions[handle] != nil }

    /// Under which handle the call waits.
    func handle(of id: Int) -> String? { handles[id] }

    mutating func put(_ entry: Entry, under handle: String) {
        entries[handle] = entry
        handles[entry.id] = handle
    }

    /// A handle is good for one retry.
    mutating func take(_ handle: String) -> Entry? {
        guard let entry = entries.removeValue(forKey: handle) else { return nil }
        handles[entry.id] = nil
        return entry
    }

    mutating func put(_ question: Question, under handle: String) { questions[handle] = question }

    mutating func takeQuestion(_ handle: String) -> Question? { questions.removeValue(forKey: handle) }

    /// Under which handle a question of no call waits, by the child's id.
    func handle(ofQuestion id: ByteBuffer) -> String? { questions.first { $0.value.id == id }?.key }

    private var bytes: Int {
        func bytes(_ questions: some Collection<Question>) -> Int {
            questions.reduce(0) { $0 + $1.id.readableBytes + ($1.request.params?.readableBytes ?? 0) }
        }
        return entries.values.reduce(bytes(questions.values)) { $0 + ($1.outcome?.readableBytes ?? 0) + bytes($1.questions) }
    }

    /// Whether a question more would be kept with those that wait.
    func hasRoom(for params: ByteBuffer?, of id: ByteBuffer) -> Bool { bytes + id.readableBytes + (params?.readableBytes ?? 0) <= Self.byteLimit }

    /// - Returns: False when the call has as many questions as one result may hold.
    mutating func add(_ question: Question, to handle: String) -> Bool {
        guard let count = entries[handle]?.questions.count, count < InputRequired.maximumCount else { return false }
        entries[handle]?.questions.append(question)
        return true
    }

    /// Takes the questions that nobody has been asked yet away from the calls of this client that wait, oldest call first, as far as one
    /// result may hold them and it can be asked.
    mutating func takeNew(upTo limit: Int, by able: ClientCapabilities, of client: ClientName) -> [Question] {
        var taken: [Question] = []
        for (_, handle) in handles.sorted(by: { $0.key < $1.key }) {
            guard let entry = entries[handle], entry.client == client else { continue }
            let questions = entry.questions
            let new = questions.filter { $0.isNew && InputRequired.refusal(of: [$0.request], by: able) == nil }.prefix(limit - taken.count)
            if new.isEmpty { continue }
            taken += new
            entries[handle]?.questions.removeAll { question in new.contains { $0.request.key == question.request.key } }
        }
        return taken
    }

    func peek(_ handle: String) -> Entry? { entries[handle] }

    /// The child answered a call that waits.
    mutating func settle(_ id: Int, _ outcome: MCPOutcome) {
        guard let handle = handles[id] else { return }
        let isKept = bytes + outcome.readableBytes <= Self.byteLimit
        let instead = MCPError.internalError("the server's answer was too large to be kept for a client that was asked")
        entries[handle]?.outcome = isKept ? outcome.kept : .error(instead)
    }

    /// - Parameter isOpen: whether the child has still to answer a call.
    /// - Returns: Whoever waited for their call to need no answer: it is answered, and so are all whose the questions could be.
    mutating func takeSettledWatchers(isOpen: (Int) -> Bool) -> [CallID] {
        entries.filter { $0.value.watcher != nil && $0.value.isSettled(isOpen) }.keys.compactMap { takeWatcher(of: $0) }
            .sorted { $0.rawValue < $1.rawValue }
    }

    /// The child took a question back.
    ///
    /// - Returns: Who waited for that; nil also where others of its call are open.
    mutating func withdraw(_ question: ByteBuffer) -> CallID? {
        guard let handle = entries.first(where: { $0.value.questions.contains { $0.id == question } })?.key else { return nil }
        entries[handle]?.questions.removeAll { $0.id == question }
        return entries[handle]?.hasNothingToAsk == true ? takeWatcher(of: handle) : nil
    }

    /// - Returns: False when somebody else waits already.
    mutating func watch(_ handle: String, by call: CallID) -> Bool {
        guard let entry = entries[handle], entry.watcher == nil else { return false }
        entries[handle]?.watcher = call
        return true
    }

    /// - Returns: Whether it waited.
    mutating func unwatch(_ call: CallID) -> Bool {
        guard let handle = entries.first(where: { $0.value.watcher == call })?.key else { return false }
        return takeWatcher(of: handle) != nil
    }

    private mutating func takeWatcher(of handle: String) -> CallID? {
        defer { entries[handle]?.watcher = nil }
        return entries[handle]?.watcher
    }

    /// The child is gone, and nothing waits here any more.
    ///
    /// - Returns: What it had answered already, who waited for that, and the handles of everything.
    mutating func end() -> (kept: KeptAnswers, watchers: [CallID], handles: [String]) {
        var kept = KeptAnswers()
        var watchers: [CallID] = []
        for (handle, entry) in entries {
            guard let outcome = entry.outcome else { continue }
            kept.keep(outcome, of: entry, under: handle)
            if let watcher = entry.watcher { watchers.append(watcher) }
        }
        defer { (entries, handles, questions) = ([:], [:], [:]) }
        return (kept, watchers.sorted { $0.rawValue < $1.rawValue }, allHandles)
    }

    /// - Returns: Who waited.
    mutating func removeAll() -> [CallID] {
        defer { (entries, handles, questions) = ([:], [:], [:]) }
        return entries.values.compactMap(\.watcher).sorted { $0.rawValue < $1.rawValue }
    }
}

extension MCPOutcome {
    var readableBytes: Int {
        switch self {
        case .result(let result): result.readableBytes
        case .error(let error): error.message.utf8.count + (error.data?.readableBytes ?? 0)
        case .failed: 0
        }
    }

    /// What it was read with would be kept with it.
    fileprivate var kept: MCPOutcome {
        switch self {
        case .result(let result): return .result(ByteBuffer(bytes: result.readableBytesView))
        case .error(var error):
            error.data = error.data.map { ByteBuffer(bytes: $0.readableBytesView) }
            return .error(error)
        case .failed: return self
        }
    }
}
