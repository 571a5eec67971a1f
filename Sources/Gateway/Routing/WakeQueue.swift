/// How many calls wait for a machine of each connector: bounded, so that a connector whose machines do not come up holds no more than
/// its share of everybody's calls. A pure value.
struct WakeQueue {
    let limit: Int
    private var waiting: [String: Int] = [:]

    init(limit: Int) { self.limit = limit }

    /// - Returns: whether there is room for one more.
    mutating func enter(_ connector: String) -> Bool {
        let count = waiting[connector, default: 0]
        guard count < limit else { return false }
        waiting[connector] = count + 1
        return true
    }

    mutating func leave(_ connector: String) {
        let left = waiting[connector, default: 1] - 1
        waiting[connector] = left > 0 ? left : nil
    }

    var isEmpty: Bool { waiting.isEmpty }
}
