import CLinux
import Foundation
import Glibc
import Logging
import Synchronization

/// Makes, watches and removes machines through an OCI runtime (crun, or runc).
///
/// The truth about a machine is its cgroup: what the runtime keeps in its own state directory is only told to it. Calls
/// for one boot come one after the other (the reconciler sees to that); calls for different machines may overlap.
public final class OCIRuntime: Sendable {
    public let configuration: OCIConfiguration
    /// What the machines write.
    public let log: LogPipes
    /// The end of each machine that was created or adopted, after its output was read. For one consumer.
    public let exits: AsyncStream<MachineExit>
    /// What the kernel ended for want of memory in machines that may live on. For one consumer.
    let memoryKills: AsyncStream<MemoryKill>

    let logger: Logger
    let command: RuntimeCommand
    let cgroups: CgroupTree
    let workers: WorkerPool
    let reaper: Reaper
    let memoryWatch: MemoryWatch
    /// Creates under way: the runtime makes a machine's cgroup inside the parent that a removal may find empty.
    let creating = Mutex(0)
    /// Commands in machines.
    let execs = Mutex(ExecSeats())
    private let exitContinuation: AsyncStream<MachineExit>.Continuation
    private let killContinuation: AsyncStream<MemoryKill>.Continuation

    /// Makes the directories and starts the threads.
    ///
    /// - Throws: `OCIError` `.noRuntime`, `.notPrepared`, or what the system refused.
    public init(configuration: OCIConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        command = try RuntimeCommand(configuration: configuration)
        for directory in [configuration.bundles, configuration.logs, configuration.runtimeRoot] {
            try Files.makeDirectories(directory, mode: 0o700)
        }
        try Files.makeDirectories(configuration.mounts, mode: 0o711)
        if configuration.ownMountNamespace {
            workers = try WorkerPool(name: "berth-oci", threads: 4) { try ProcessPreparation.enterPrivateMounts() }
            try ProcessPreparation.becomeSubreaper()
            cgroups = CgroupTree.detect(hybridIsCovered: true)
        } else {
            try ProcessPreparation.verifyPrivateMounts()
            workers = try WorkerPool(name: "berth-oci", threads: 4)
            cgroups = CgroupTree.detect()
        }
        do {
            reaper = try Reaper()
        } catch {
            workers.end()
            throw error
        }
        do {
            log = try LogPipes(directory: configuration.logs)
        } catch {
            workers.end()
            reaper.end()
            throw error
        }
        let (kills, killContinuation) = AsyncStream.makeStream(of: MemoryKill.self)
        do {
            memoryWatch = try MemoryWatch(cgroups: cgroups) { killContinuation.yield($0) }
        } catch {
            workers.end()
            reaper.end()
            log.end()
            throw error
        }
        (memoryKills, self.killContinuation) = (kills, killContinuation)
        (exits, exitContinuation) = AsyncStream.makeStream(of: MachineExit.self)
        // A runtime that an earlier orchestrator started may still be at work on something that nobody awaits.
        command.endStrays(except: Set(Files.names(configuration.bundles).compactMap(BootName.init).compactMap(livingInit)))
    }

    /// Starts the program of a created machine.
    public func start(_ machine: String, boot: String) async throws {
        let name = try Self.name(machine, boot)
        try await workers.run { [self] in
            Failpoint.hit("start.before")
            try command(of: name).run(["start", name.description], timeout: .seconds(20))
            Failpoint.hit("start.after")
        }
    }

    /// Signals the machine's PID 1.
    public func signal(_ machine: String, boot: String, _ signal: Int32) async throws {
        let name = try Self.name(machine, boot)
        guard let pid = await firstProcess(name), reaper.signal(pid, signal) else {
            throw OCIError(.notRunning, "\(name) is not running")
        }
    }

    /// Kills everything in the machine. Its end arrives on `exits`.
    public func kill(_ machine: String, boot: String) async throws {
        let name = try Self.name(machine, boot)
        try await workers.run { [self] in cgroups.kill(configuration.cgroup(name)) }
    }

    /// Changes how much processor time a living machine gets.
    public func update(_ machine: String, boot: String, cpus: Double) async throws {
        let name = try Self.name(machine, boot)
        try await workers.run { [self] in try cgroups.setCPUs(configuration.cgroup(name), cpus) }
    }

    /// Ends the threads of this object. Machines live on.
    public func shutdown() {
        workers.end()
        reaper.end()
        log.end()
        memoryWatch.end()
        exitContinuation.finish()
        killContinuation.finish()
    }

    /// The runtime that made this boot, or is to remove what it left.
    func command(of name: BootName) -> RuntimeCommand {
        guard let path = Files.read(configuration.bundle(name) + "/runtime", limit: 4_096), path.hasPrefix("/") else { return command }
        return RuntimeCommand(path: path, root: command.root)
    }

    static func name(_ machine: String, _ boot: String) throws(OCIError) -> BootName {
        let name = BootName(machine: machine, boot: boot)
        guard name.isSafe else { throw OCIError(.invalidSpec, "machine and boot ids are letters and digits, not \(name)") }
        return name
    }

    /// The machine's PID 1, as the host numbers it.
    func firstProcess(_ name: BootName) async -> Int32? {
        try? await workers.run { [self] in livingInit(name) }
    }

    /// Has the end of a machine reported on `exits`.
    func watch(_ name: BootName, pid: Int32, pidfd: Int32) {
        memoryWatch.watch(name, cgroup: configuration.cgroup(name))
        reaper.watch(pid, pidfd: pidfd) { [self] exit in
            // Now, while the cgroup is still there. What was killed in it long ago is not why it ended.
            let isShort = memoryWatch.hasJustKilled(name)
            let wasKilled = exit.signal == SIGKILL || exit.code == 128 + SIGKILL || exit.code == nil && exit.signal == nil
            let end = MachineExit(
                machine: name.machine, boot: name.boot, code: exit.code, signal: exit.signal, oomKilled: isShort && wasKilled)
            let exits = exitContinuation
            log.flush(name) { exits.yield(end) }
        }
    }
}
