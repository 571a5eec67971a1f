/// The sessions whose child was sent away with their state, to tell so with the next child's first answer: the last so many,
/// the oldest forgotten. A pure value.
public struct RetiredSessions {
    private let capacity: Int
    private var ids: Set<String> = []
    private var order: [String] = []

    public init(capacity: Int = 1024) {
        self.capacity = capacity
    }

    var count: Int { ids.count }

    public mutating func insert(_ id: String) {
        guard !id.isEmpty, ids.insert(id).inserted else { return }
        order.append(id)
        if order.count > capacity { ids.remove(order.removeFirst()) }
    }

    /// Whether `id` is one; it is none from now on.
    public mutating func take(_ id: String) -> Bool {
        guard ids.remove(id) != nil else { return false }
        order.removeAll { $0 == id }
        return true
    }
}
