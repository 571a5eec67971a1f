import Synchronization

/// The tasks of builds, which outlive whoever listens to them: a cancelled one still removes its folders.
final class RunningBuilds: Sendable {
    private struct State {
        var tasks: [Int: Task<Void, Never>] = [:]
        var count = 0
        var isEnding = false
        var waiting: AsyncStream<Void>.Continuation?
    }
    private let state = Mutex(State())

    func start(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        state.withLock { state in
            state.count += 1
            let number = state.count
            let task = Task { [self] in
                await body()
                finished(number)
            }
            if state.isEnding { task.cancel() }
            state.tasks[number] = task
            return task
        }
    }

    private func finished(_ number: Int) {
        state.withLock { state in
            state.tasks[number] = nil
            if state.tasks.isEmpty { state.waiting?.finish() }
        }
    }

    func end(within limit: Duration) async {
        let (last, waiting) = AsyncStream.makeStream(of: Void.self)
        state.withLock { state in
            state.isEnding = true
            state.waiting = waiting
            for task in state.tasks.values { task.cancel() }
            if state.tasks.isEmpty { waiting.finish() }
        }
        let timer = Task {
            try? await Task.sleep(for: limit)
            waiting.finish()
        }
        for await _ in last {}
        timer.cancel()
    }
}
