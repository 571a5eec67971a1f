/// Which commands run in machines, and as which user: bounded for each machine and for the host.
///
/// A user id is taken where nothing may live of who had it before, and given back when nothing does.
struct ExecSeats {
    static let perMachine = 4
    static let perHost = 16
    /// As a machine itself numbers its users: above those of its children and of their removals (1,000 to 64,999), below the one
    /// that stands for nobody.
    static let users: Range<UInt32> = 65_000..<65_534

    private struct Boot {
        var users: Set<UInt32> = []
        /// Of them, those whose process the runtime is about to make.
        var starting: Set<UInt32> = []
        var next = ExecSeats.users.lowerBound
        var isEnding = false
    }

    private var boots: [BootName: Boot] = [:]

    /// - Parameter isFree: whether nothing of that user is left.
    mutating func take(_ name: BootName, isFree: (UInt32) -> Bool) throws(ExecRefusal) -> UInt32 {
        var boot = boots[name] ?? Boot()
        if boot.isEnding { throw .ending }
        guard boot.users.count < Self.perMachine else { throw .tooMany(Self.perMachine, inMachine: true) }
        guard boots.values.reduce(0, { $0 + $1.users.count }) < Self.perHost else { throw .tooMany(Self.perHost, inMachine: false) }
        for _ in Self.users {
            let user = boot.next
            boot.next = user + 1 < Self.users.upperBound ? user + 1 : Self.users.lowerBound
            guard !boot.users.contains(user), isFree(user) else { continue }
            boot.users.insert(user)
            boots[name] = boot
            return user
        }
        throw .noUser
    }

    mutating func give(back user: UInt32, of name: BootName) {
        boots[name]?.users.remove(user)
        boots[name]?.starting.remove(user)
    }

    /// From here on until ``started(_:of:)`` the machine's removal waits.
    mutating func start(_ user: UInt32, of name: BootName) throws(ExecRefusal) {
        guard boots[name]?.isEnding == false else { throw .ending }
        boots[name]?.starting.insert(user)
    }

    mutating func started(_ user: UInt32, of name: BootName) { boots[name]?.starting.remove(user) }

    /// No command begins any more.
    ///
    /// - Returns: whether the runtime is about to make a process.
    mutating func end(_ name: BootName) -> Bool {
        boots[name, default: Boot()].isEnding = true
        return boots[name]?.starting.isEmpty == false
    }

    /// Nothing is left of the boot, which never comes back.
    mutating func forget(_ name: BootName) { boots[name] = nil }

    func count(_ name: BootName) -> Int { boots[name]?.users.count ?? 0 }
}
