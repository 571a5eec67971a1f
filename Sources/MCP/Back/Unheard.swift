import NIOCore

/// What a child said and asked outside of calls before its session listened. Bounded.
struct Unheard {
    /// Seconds that a question waits for a listener.
    static let patience = 5
    private static let messageLimit = 32
    private static let byteLimit = 64 << 10

    private var messages: [ByteBuffer] = []
    private var bytes = 0
    /// By their handles, with what they ask of a client.
    var questions: [(handle: String, asking: ByteBuffer, needed: ClientCapabilities)] = []

    /// Keeps the first messages.
    ///
    /// - Returns: False where it has no room.
    mutating func keep(_ message: ByteBuffer) -> Bool {
        guard messages.count < Self.messageLimit, bytes + message.readableBytes <= Self.byteLimit else { return false }
        // A copy: a slice would keep all that was read with it.
        messages.append(ByteBuffer(bytes: message.readableBytesView))
        bytes += message.readableBytes
        return true
    }

    mutating func take() -> (messages: [ByteBuffer], questions: [(handle: String, asking: ByteBuffer, needed: ClientCapabilities)]) {
        defer { self = Unheard() }
        return (messages, questions)
    }

    /// - Returns: Whether that question waited here.
    mutating func forget(_ handle: String) -> Bool {
        let count = questions.count
        questions.removeAll { $0.handle == handle }
        return questions.count < count
    }
}
