/// Work on one key at a time, in the order in which it was asked for. What throws makes way like what does not.
actor Turns {
    private var last: [String: Task<Void, Never>] = [:]
    private var numbers: [String: Int] = [:]

    /// Runs `body` when everybody who asked before has finished.
    func take<R: Sendable>(_ key: String, _ body: @escaping @Sendable () async throws -> R) async throws -> R {
        let before = last[key]
        let task = Task {
            await before?.value
            return try await body()
        }
        let number = (numbers[key] ?? 0) + 1
        numbers[key] = number
        last[key] = Task { _ = await task.result }
        defer {
            if numbers[key] == number {
                last[key] = nil
                numbers[key] = nil
            }
        }
        return try await task.value
    }
}
