import Synchronization

/// Work on names that may fail for a while, in a task of its own: tried when it is asked for, then again with growing pauses
/// until it has succeeded. Names do not wait for each other. It ends with ``stop()``.
final class RetriedWork: Sendable {
    private struct State {
        /// To be tried as soon as there is room.
        var ready: Set<String> = []
        var running: Set<String> = []
        /// Of names that failed: how long they wait before the next attempt, and which attempt it was.
        var pauses: [String: (length: Duration, attempt: Int)] = [:]
        var lastAttempt = 0
    }

    private let first: Duration
    private let longest: Duration
    /// Attempts at a time.
    private let width: Int
    private let state = Mutex(State())
    private let signal: AsyncStream<Void>.Continuation
    private let signals: AsyncStream<Void>
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(first: Duration = .seconds(1), longest: Duration = .seconds(60), width: Int = 8) {
        self.first = first
        self.longest = longest
        self.width = width
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Begins, once.
    ///
    /// - Parameter attempt: answers whether nothing is left to do for a name.
    func start(_ attempt: @escaping @Sendable (String) async -> Bool) {
        task.withLock { task in
            guard task == nil else { return }
            task = Task { [self] in
                await withDiscardingTaskGroup { group in
                    for await _ in signals {
                        while let name = next() { group.addTask { await self.work(on: name, attempt) } }
                    }
                }
            }
        }
    }

    /// There is something to do for a name: it is tried now, whatever it or another one waits for.
    func ask(_ name: String) {
        _ = state.withLock { $0.ready.insert(name) }
        signal.yield()
    }

    /// Returns when the task has ended; attempts under way are cancelled.
    func stop() async {
        signal.finish()
        let task = task.withLock { $0 }
        task?.cancel()
        await task?.value
    }

    private func next() -> String? {
        state.withLock { state in
            // Who asks during an attempt is served by another one after it.
            guard state.running.count < width, let name = state.ready.first(where: { !state.running.contains($0) }) else { return nil }
            state.ready.remove(name)
            state.running.insert(name)
            return name
        }
    }

    private func work(on name: String, _ attempt: @Sendable (String) async -> Bool) async {
        let isDone = await attempt(name)
        let pause: (length: Duration, attempt: Int)? = state.withLock { state in
            state.running.remove(name)
            guard !isDone else {
                state.pauses[name] = nil
                return nil
            }
            state.lastAttempt += 1
            let pause = (state.pauses[name].map { min($0.length * 2, longest) } ?? first, state.lastAttempt)
            state.pauses[name] = pause
            return pause
        }
        signal.yield()
        guard let pause, (try? await Task.sleep(for: pause.length)) != nil else { return }
        // Another attempt may have come between, which pauses by itself or was the last one.
        guard state.withLock({ $0.pauses[name]?.attempt == pause.attempt }) else { return }
        ask(name)
    }
}
