public import Testing

/// Waits for a condition with a deadline, looking again every few milliseconds.
public func eventually(
    within seconds: Double = 120, _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let deadline = ContinuousClock.now + .milliseconds(Int64(seconds * 1_000))
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}

/// The same; a condition that is not met in time is an issue of the test.
public func eventually(
    _ what: Comment, within seconds: Double = 120, _ condition: () async throws -> Bool, at location: SourceLocation = #_sourceLocation
) async rethrows {
    let isMet = try await eventually(within: seconds, condition)
    if !isMet { Issue.record("not within \(seconds) s: \(what)", sourceLocation: location) }
}
