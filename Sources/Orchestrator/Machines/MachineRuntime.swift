/// What the reconciler needs of whoever runs machines on this host.
protocol MachineRuntime: Sendable {
    func create(_ spec: MachineSpec) async throws -> CreatedMachine
    func start(_ machine: String, boot: String) async throws
    func signal(_ machine: String, boot: String, _ signal: Int32) async throws
    func kill(_ machine: String, boot: String) async throws
    /// Idempotent; returns when nothing is left.
    func remove(_ machine: String, boot: String) async throws
    func processes(_ machine: String, boot: String) async throws -> [MachineProcess]
    func survey() async throws -> [SurveyedMachine]
    func adopt(_ machine: String, boot: String) async -> CreatedMachine?
    func update(_ machine: String, boot: String, cpus: Double) async throws
    /// Returns when it stands still: bytes that it gave back, `nil` where the host has no swap.
    func freeze(_ machine: String, boot: String) async throws -> Int?
    func isFrozen(_ machine: String, boot: String) async throws -> Bool
    /// Idempotent.
    func thaw(_ machine: String, boot: String) async throws
    /// Runs a command in a living machine, if `admit` does not throw, and ends all of it.
    func exec(_ machine: String, boot: String, _ command: ExecCommand, admit: @Sendable () async throws -> Void) async throws -> ExecResult
    /// How many of those run there.
    func commands(_ machine: String, boot: String) -> Int
    var exits: AsyncStream<MachineExit> { get }
    var memoryKills: AsyncStream<MemoryKill> { get }
    /// `nil` when nothing of it is there.
    func statistics(_ machine: String, boot: String) async -> MachineStatistics?

    /// The last lines that a machine wrote, through all its boots.
    func logTail(_ machine: String, lines: Int) -> String
    /// The same, and what it writes from then on; `nil` where too many read already.
    func followLog(_ machine: String, lines: Int) -> AsyncStream<LogPiece>?
    /// What is kept of them.
    func logBytes(_ machine: String) -> Int
    func discardLog(_ machine: String)
    func observeLog(_ machine: String, boot: String, _ observer: (@Sendable (String) -> Void)?)
}

extension OCIRuntime: MachineRuntime {
    func logTail(_ machine: String, lines: Int) -> String { log.tail(machine, lines: lines) }
    func followLog(_ machine: String, lines: Int) -> AsyncStream<LogPiece>? { log.follow(machine, lines: lines) }
    func discardLog(_ machine: String) { log.discard(machine) }
    func observeLog(_ machine: String, boot: String, _ observer: (@Sendable (String) -> Void)?) { log.observe(machine, boot: boot, observer) }
}
