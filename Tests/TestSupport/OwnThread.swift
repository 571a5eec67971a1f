import Foundation

/// Runs code that blocks on a thread of its own: Dispatch's global queue has as many threads as there are processors, and adds one a second.
public func onOwnThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
    }
}
