/// Lets a few tasks at a time into a part of the program, in the order in which they came.
actor Turnstile {
    private var free: [String: Int] = [:]
    private var waiting: [(id: Int, key: String, continuation: CheckedContinuation<Bool, Never>)] = []
    private var next = 0
    private let width: Int

    /// - Parameter width: how many tasks of one key are inside at once.
    init(width: Int) { self.width = width }

    /// Runs `body` when it is this task's turn; throws `CancellationError` when the task is cancelled before.
    func enter<T: Sendable>(_ key: String, onWait: @Sendable () -> Void = {}, _ body: @Sendable () async throws -> T) async throws -> T {
        if free[key, default: width] > 0 {
            free[key, default: width] -= 1
        } else {
            onWait()
            let id = next
            next += 1
            let entered = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    if Task.isCancelled {
                        continuation.resume(returning: false)
                    } else {
                        waiting.append((id, key, continuation))
                    }
                }
            } onCancel: {
                Task { await self.giveUp(id) }
            }
            guard entered else { throw CancellationError() }
        }
        defer { leave(key) }
        return try await body()
    }

    private func leave(_ key: String) {
        // A place goes from hand to hand; it is free only when nobody waits.
        if let index = waiting.firstIndex(where: { $0.key == key }) {
            waiting.remove(at: index).continuation.resume(returning: true)
            return
        }
        let count = free[key, default: width] + 1
        free[key] = count == width ? nil : count
    }

    private func giveUp(_ id: Int) {
        guard let index = waiting.firstIndex(where: { $0.id == id }) else { return }
        waiting.remove(at: index).continuation.resume(returning: false)
    }
}
