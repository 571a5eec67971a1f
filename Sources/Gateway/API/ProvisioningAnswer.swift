import Synchronization

/// An `add` or `update` as its caller hears of it: the steps as they come, and the end only once its audit row is written.
struct ProvisioningAnswer: Sendable {
    /// Says its steps and its end, and returns why it failed.
    let work: @Sendable (_ say: @escaping @Sendable (ProvisioningEvent) -> Void) async -> ProvisioningFailure?
    /// Writes the row.
    let record: @Sendable (_ failure: ProvisioningFailure?) async throws(ProvisioningFailure) -> Void

    /// A caller that went away cancels the work. It cleans up after itself, its row is written, and only then this returns.
    ///
    /// - Throws: what `tell` does.
    @concurrent func write(_ tell: @concurrent (ProvisioningEvent) async throws -> Void) async throws {
        let (steps, continuation) = AsyncStream.makeStream(of: ProvisioningEvent.self)
        // A child of this task: cancelled with it, and awaited on every way out.
        async let end = end { continuation.yield($0) } finally: { continuation.finish() }
        for await step in steps { try await tell(step) }
        try await tell(await end)
    }

    private func end(
        saying step: @escaping @Sendable (ProvisioningEvent) -> Void, finally: @Sendable () -> Void
    ) async -> ProvisioningEvent {
        defer { finally() }
        let said = Mutex<ProvisioningEvent?>(nil)
        let failure = await work { event in
            switch event {
            case .step, .release: step(event)
            case .ready, .passed, .changes, .failed: said.withLock { $0 = event }
            }
        }
        do throws(ProvisioningFailure) {
            try await record(failure)
        } catch {
            return .failed(error)
        }
        return said.withLock { $0 } ?? .failed(failure ?? ProvisioningFailure(error: "internal", message: "the work did not say how it ended"))
    }
}
