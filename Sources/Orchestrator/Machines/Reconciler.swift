import Logging
import MachineAPI
import Sealing
import Synchronization

/// Keeps what is wanted and what runs together: one owner per machine, and at the start the host's truth against the rows.
actor Reconciler {
    nonisolated let host: MachineHost
    /// Ends of boots that are not machines'.
    nonisolated let jobs = ExitRouter()
    private var owners: [String: MachineOwner] = [:]
    private var exits: Task<Void, Never>?
    private var memoryKills: Task<Void, Never>?
    /// Of apps whose deletion an earlier orchestrator began.
    private var deletions: [Task<Void, Never>] = []
    private(set) var isGoingDown = false
    /// Sees to the machines that are kept started.
    private var keeping: Task<Void, Never>?

    init(host: MachineHost) { self.host = host }

    /// Adopts what lives, removes what no row owns and what jobs left, and resumes what should run.
    ///
    /// - Parameter holding: resume nothing, and stop what lives.
    func begin(holding: Bool = false) async throws {
        isGoingDown = holding
        let boots = try await host.store.boots()
        let machines = try await host.store.machines(includesDestroyed: false)
        listen()
        try await removeUnowned(boots)
        await withDiscardingTaskGroup { group in
            for boot in boots where boot.kind == .job || !machines.contains(where: { $0.id == boot.machine }) {
                group.addTask { await self.removeOrphan(boot) }
            }
        }
        for machine in machines {
            let owner = owner(of: machine)
            guard let boot = machine.boot else {
                owner.post(.found)
                continue
            }
            if let living = await host.runtime.adopt(machine.id, boot: boot.boot) {
                await reopenWay(machine, boot)
                host.logger.info("machine adopted", metadata: ["machine": "\(machine.id)", "boot": "\(boot.boot)"])
                owner.post(.adopted(isStarted: living.isStarted), boot: boot.boot)
            } else {
                owner.post(.lost, boot: boot.boot)
            }
        }
        try await forget()
        keeping = Task { [weak self, interval = RunningMinimum.interval] in
            while (try? await Task.sleep(for: interval)) != nil {
                self?.host.starts.handOn(at: .now)
                await self?.keepRunning()
            }
        }
        for app in try await host.store.apps() where app.isDeleting { deletions.append(Task { await self.resumeDeletion(of: app.name) }) }
    }

    /// Takes away what is kept of machines that were destroyed more than a week ago.
    func forget() async throws { try await host.store.prune(destroyedBefore: WallClock.milliseconds() - 7 * 86_400_000) }

    /// A machine whose row has just been written.
    func add(_ machine: MachineRecord) { _ = owner(of: machine) }

    /// Tells a machine something; returns when its row says what came of it.
    func send(_ input: MachineStateMachine.Input, to id: String) async throws {
        guard let owner = owners[id] else { throw MachineFailure.unknownMachine(id) }
        try await owner.send(input)
    }

    /// Changes a machine's row where nobody else does at the same time.
    func change(_ id: String, _ body: @escaping @Sendable (inout MachineRecord) throws -> MachineStateMachine.Input?) async throws {
        guard let owner = owners[id] else { throw MachineFailure.unknownMachine(id) }
        try await owner.change(body)
    }

    /// Destroys a machine and waits until nothing is left of it.
    func destroy(_ id: String, within limit: Duration = .seconds(30)) async throws {
        let changes = host.hub.changes(of: id)
        try await send(.destroy(source: "user"), to: id)
        guard try await host.store.machine(id)?.state != .destroyed else { return }
        let isGone = await Self.first(in: changes, within: limit) { $0.state == .destroyed } != nil
        guard isGone else {
            throw MachineFailure(
                .unavailable, "not_removed", "machine \(id) is being destroyed and something of it is still there",
                hint: "berth doctor --leftovers")
        }
    }

    /// Destroys an app's machines, then the app.
    func delete(app: String) async throws {
        try await host.store.markDeleting(app)
        let machines = try await host.store.machines(app: app)
        try await withThrowingDiscardingTaskGroup { group in
            for machine in machines { group.addTask { try await self.destroy(machine.id) } }
        }
        guard try await host.store.deleteIfEmpty(app) else {
            throw MachineFailure(.unavailable, "not_removed", "the app \(app) still has machines", hint: "try again")
        }
    }

    /// Stops every machine, for the time until the next orchestrator; what is wanted stays in the rows.
    ///
    /// - Returns: how many ran.
    func stopAll() async -> Int {
        isGoingDown = true
        let running = owners.values.map { $0 }
        let host = host
        return await withTaskGroup(of: Bool.self) { group in
            for owner in running {
                group.addTask {
                    let changes = host.hub.changes(of: owner.id)
                    guard let before = try? await host.store.machine(owner.id), (try? await owner.send(.hold)) != nil,
                        before.boot != nil || before.state == .starting
                    else { return false }
                    if let now = try? await host.store.machine(owner.id), now.boot == nil { return true }
                    _ = await Self.first(in: changes, within: .seconds(320)) { $0.boot == nil }
                    return true
                }
            }
            var count = 0
            for await ran in group where ran { count += 1 }
            return count
        }
    }

    /// Lets creations and removals under way finish. Machines live on.
    func shutdown() async {
        isGoingDown = true
        keeping?.cancel()
        await keeping?.value
        for deletion in deletions { deletion.cancel() }
        await withDiscardingTaskGroup { group in
            for owner in owners.values { group.addTask { await owner.end() } }
        }
        for deletion in deletions { await deletion.value }
        exits?.cancel()
        memoryKills?.cancel()
        await exits?.value
        await memoryKills?.value
    }

    // MARK: Parts

    private func owner(of machine: MachineRecord) -> MachineOwner {
        if let owner = owners[machine.id] { return owner }
        let owner = MachineOwner(machine, host: host, isHeld: isGoingDown) { [weak self] id in await self?.forget(id) }
        owners[machine.id] = owner
        return owner
    }

    /// The machine serves on without it, and says of each connection that it failed.
    private func reopenWay(_ machine: MachineRecord, _ boot: BootRecord) async {
        do {
            try await host.openWay(machine, boot)
        } catch {
            host.logger.error("an adopted machine has no way out", metadata: ["machine": "\(machine.id)", "error": "\(error)"])
        }
    }

    private func forget(_ id: String) { owners[id] = nil }

    private func listen() {
        let stream = host.runtime.exits
        exits = Task { [weak self, jobs] in
            for await exit in stream where !jobs.deliver(exit) { await self?.ended(exit) }
        }
        let kills = host.runtime.memoryKills
        memoryKills = Task { [weak self] in
            for await kill in kills { await self?.ranShort(kill) }
        }
    }

    private func ended(_ exit: MachineExit) {
        let end = MachineEnd(code: exit.code, signal: exit.signal, isOutOfMemory: exit.oomKilled)
        owners[exit.machine]?.post(.exited(end, seconds: 0), boot: exit.boot)
    }

    /// The machine lives on, without some of its processes.
    private func ranShort(_ kill: MemoryKill) {
        let what = kill.count == 1 ? "a process" : "\(kill.count) processes"
        let reason = "oom_killed: the kernel ended \(what) of it for want of memory (--memory gives it more)"
        owners[kill.machine]?.post(.note(type: "oom", source: "kernel", reason: reason), boot: kill.boot)
    }

    /// A boot without a row: its row is written first and deleted last, so nobody wants it.
    private func removeUnowned(_ boots: [BootRecord]) async throws {
        let owned = Set(boots.map(\.name))
        let found = try await host.runtime.survey().filter { !owned.contains("\($0.machine)-\($0.boot)") }
        await withDiscardingTaskGroup { group in
            for left in found {
                group.addTask { [host] in
                    host.logger.warning("removing what no row owns", metadata: ["machine": "\(left.machine)", "boot": "\(left.boot)"])
                    do {
                        try await host.runtime.remove(left.machine, boot: left.boot)
                    } catch {
                        host.logger.error("not removed", metadata: ["machine": "\(left.machine)", "error": "\(error)"])
                    }
                }
            }
        }
    }

    private func resumeDeletion(of app: String) async {
        do {
            try await delete(app: app)
        } catch {
            // A start that ends meanwhile leaves it to the next one.
            guard !Task.isCancelled else { return }
            host.logger.error("an app was not deleted", metadata: ["app": "\(app)", "error": "\(error)"])
        }
    }

    private func removeOrphan(_ boot: BootRecord) async {
        do {
            try await host.runtime.remove(boot.machine, boot: boot.boot)
            host.runtime.discardLog(boot.machine)
            await host.relays?.close(boot.machine)
            try await host.store.endBoot(boot.boot)
        } catch {
            host.logger.error("a job's remains were not removed", metadata: ["machine": "\(boot.machine)", "error": "\(error)"])
        }
    }

    /// The first change that fits, or nil when the time is over.
    static func first<Change: Sendable>(
        in changes: AsyncStream<Change>, within limit: Duration, where fits: @escaping @Sendable (Change) -> Bool
    ) async -> Change? {
        await withTaskGroup(of: Change?.self) { group in
            group.addTask {
                for await change in changes where fits(change) { return change }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}

/// Gives the end of a job to whoever waits for it.
final class ExitRouter: Sendable {
    private let waiting = Mutex<[String: AsyncStream<MachineExit>.Continuation]>([:])

    /// Before the boot is created: its end cannot be missed.
    func end(machine: String, boot: String) -> AsyncStream<MachineExit> {
        let (stream, continuation) = AsyncStream.makeStream(of: MachineExit.self, bufferingPolicy: .bufferingNewest(1))
        waiting.withLock { $0["\(machine)-\(boot)"] = continuation }
        return stream
    }

    func forget(machine: String, boot: String) {
        waiting.withLock { $0.removeValue(forKey: "\(machine)-\(boot)") }?.finish()
    }

    /// - Returns: whether somebody waits for it.
    func deliver(_ exit: MachineExit) -> Bool {
        guard let continuation = waiting.withLock({ $0["\(exit.machine)-\(exit.boot)"] }) else { return false }
        continuation.yield(exit)
        return true
    }
}
