/// What a service opened so far, closed in reverse: at its end, or when its start fails half-way.
public struct OpenedParts: Sendable {
    private var closers: [@Sendable () async -> Void] = []

    public init() {}

    public mutating func add(_ closer: @escaping @Sendable () async -> Void) { closers.append(closer) }

    public func close() async {
        for closer in closers.reversed() { await closer() }
    }
}
