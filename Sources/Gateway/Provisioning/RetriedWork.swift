import Synchronization

/// Work on names that may fail for a while, in a task of its own: tried when it is asked for, then again with growing pauses
/// until it has succeeded. It ends with ``stop()``.
final class RetriedWork: Sendable {
    private let first: Duration
    private let longest: Duration
    private let names = Mutex<Set<String>>([])
    private let signal: AsyncStream<Void>.Continuation
    private let signals: AsyncStream<Void>
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(first: Duration = .seconds(1), longest: Duration = .seconds(60)) {
        self.first = first
        self.longest = longest
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Begins, once.
    ///
    /// - Parameter attempt: answers whether nothing is left to do for a name.
    func start(_ attempt: @escaping @Sendable (String) async -> Bool) {
        task.withLock { task in
            guard task == nil else { return }
            task = Task { [self] in
                for await _ in signals {
                    var pause = first
                    while !Task.isCancelled, await !round(attempt) {
                        try? await Task.sleep(for: pause)
                        pause = min(pause * 2, longest)
                    }
                }
            }
        }
    }

    /// There is something to do for a name.
    func ask(_ name: String) {
        _ = names.withLock { $0.insert(name) }
        signal.yield()
    }

    /// Returns when the task has ended; an attempt under way is cancelled.
    func stop() async {
        signal.finish()
        let task = task.withLock { $0 }
        task?.cancel()
        await task?.value
    }

    private func round(_ attempt: (String) async -> Bool) async -> Bool {
        for name in names.withLock({ $0 }) {
            // Taken out first: whoever asks meanwhile is not forgotten.
            _ = names.withLock { $0.remove(name) }
            if await !attempt(name) { _ = names.withLock { $0.insert(name) } }
        }
        return names.withLock { $0.isEmpty }
    }
}
