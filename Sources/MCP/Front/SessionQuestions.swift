import NIOCore

/// Questions of one session's server that belong to no call, while its client has not answered them. Bounded; a pure value.
struct SessionQuestions {
    struct Question {
        /// What the answer is found by at the server's side.
        var handle: String
        var method: String
        var context: CallContext
        /// It was asked on the session's stream, and ends with that; else on the stream of a call that is over.
        var isStreams: Bool
    }

    private var questions: [Int: Question] = [:]

    var isEmpty: Bool { questions.isEmpty }

    /// - Parameter number: The request's id towards the client; they grow.
    mutating func add(_ question: Question, as number: Int) {
        // A server that dies over its questions cannot always say so.
        if questions.count >= Suspensions.limit, let oldest = questions.keys.min() { questions[oldest] = nil }
        questions[number] = question
    }

    /// The client answers.
    mutating func take(_ number: Int) -> Question? { questions.removeValue(forKey: number) }

    /// The server does not wait any more.
    ///
    /// - Returns: The number under which the client was asked.
    mutating func withdraw(handle: String) -> Int? {
        guard let number = questions.first(where: { $0.value.handle == handle })?.key else { return nil }
        questions[number] = nil
        return number
    }

    /// The stream is gone, and its client does not come back.
    mutating func takeStreams() -> [Question] {
        let found = questions.filter(\.value.isStreams)
        for number in found.keys { questions[number] = nil }
        return found.sorted { $0.key < $1.key }.map(\.value)
    }
}
