/// Whom each session belongs to: the first principal seen with it. Never two principals in one child. A pure value.
struct SessionOwners {
    private let capacity: Int
    private var owners: [String: String] = [:]

    init(capacity: Int = 65_536) {
        self.capacity = capacity
    }

    var count: Int { owners.count }

    /// Whether `session` is `principal`'s, from now on if it was nobody's.
    ///
    /// - Parameter living: the sessions that have a child. Only they must be remembered, and only they are when the table is
    ///   full: whoever names one of the others finds nothing of it.
    mutating func admit(_ session: String, of principal: String, living: () -> Set<String>) -> Bool {
        if let owner = owners[session] { return owner == principal }
        if owners.count >= capacity {
            let living = living()
            owners = owners.filter { living.contains($0.key) }
        }
        owners[session] = principal
        return true
    }

    mutating func forget(_ session: String) { owners[session] = nil }
}
