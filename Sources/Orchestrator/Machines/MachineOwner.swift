/// The one who changes a machine: everybody else sends messages, which are handled one after the other.
final class MachineOwner: Sendable {
    struct Message: Sendable {
        var input: MachineStateMachine.Input?
        /// Changes the row, in the place of an input or before the one that it answers; what it throws changes nothing.
        var change: (@Sendable (inout MachineRecord) throws -> MachineStateMachine.Input?)?
        /// Only for the present boot.
        var boot: String?
        /// Only for the present timer.
        var timer: Int?
        /// Called when the row says what came of it.
        var reply: (@Sendable (Result<Void, any Error>) -> Void)?
    }

    let id: String
    private let inbox: AsyncStream<Message>.Continuation
    private let loop: Task<Void, Never>

    /// - Parameters:
    ///   - isHeld: it shall not run, whatever its row wants.
    ///   - erased: called once when the machine is history.
    init(_ record: MachineRecord, host: MachineHost, isHeld: Bool = false, erased: @escaping @Sendable (String) async -> Void) {
        id = record.id
        let (stream, inbox) = AsyncStream.makeStream(of: Message.self)
        self.inbox = inbox
        loop = Task {
            await withDiscardingTaskGroup { group in
                var loop = MachineLoop(record, host: host, isHeld: isHeld) { inbox.yield($0) }
                for await message in stream {
                    await loop.handle(message, in: &group)
                    if loop.isOver {
                        inbox.finish()
                        await erased(record.id)
                    }
                }
                loop.end()
            }
        }
    }

    /// Tells the machine something.
    func post(_ input: MachineStateMachine.Input, boot: String? = nil) {
        inbox.yield(Message(input: input, boot: boot))
    }

    /// Tells the machine something and returns when its row says what came of it.
    func send(_ input: MachineStateMachine.Input) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let result = inbox.yield(Message(input: input, reply: { continuation.resume(with: $0) }))
            if case .terminated = result { continuation.resume(throwing: MachineFailure.unknownMachine(id)) }
        }
    }

    /// Changes the machine's row, between two inputs; returns when it is written.
    func change(_ body: @escaping @Sendable (inout MachineRecord) throws -> MachineStateMachine.Input?) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let result = inbox.yield(Message(input: nil, change: body, reply: { continuation.resume(with: $0) }))
            if case .terminated = result { continuation.resume(throwing: MachineFailure.unknownMachine(id)) }
        }
    }

    /// Handles what was sent, lets a running creation or removal finish, and ends; the machine lives on.
    func end() async {
        inbox.finish()
        await loop.value
    }
}
