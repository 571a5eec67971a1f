/// How many calls wait for a machine of each connector: bounded, so that a connector whose machines do not come up holds no more than
/// its share of everybody's calls, and a principal no more than a quarter of that. A pure value.
struct WakeQueue {
    private struct Waiting {
        var count = 0
        var byPrincipal: [String: Int] = [:]
    }

    let limit: Int
    private var waiting: [String: Waiting] = [:]

    init(limit: Int) { self.limit = limit }

    private var share: Int { max(1, limit / 4) }

    /// - Returns: whether there is room for one more.
    mutating func enter(_ connector: String, of principal: String) -> Bool {
        let there = waiting[connector] ?? Waiting()
        guard there.count < limit, there.byPrincipal[principal, default: 0] < share else { return false }
        waiting[connector, default: Waiting()].count += 1
        waiting[connector, default: Waiting()].byPrincipal[principal, default: 0] += 1
        return true
    }

    mutating func leave(_ connector: String, of principal: String) {
        guard var there = waiting[connector] else { return }
        there.count -= 1
        there.byPrincipal[principal] = there.byPrincipal[principal].flatMap { $0 > 1 ? $0 - 1 : nil }
        waiting[connector] = there.count > 0 ? there : nil
    }

    var isEmpty: Bool { waiting.isEmpty }
}
