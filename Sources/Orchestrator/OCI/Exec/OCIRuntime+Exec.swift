import CLinux
import Glibc
import Logging
import Synchronization

extension OCIRuntime {
    /// Runs a command in a living machine to its end, as a user that no other process of it has, in a cgroup of its own below the
    /// machine's, so that everything that it starts can be ended at once and nothing of it stays.
    ///
    /// - Parameter admit: called when nothing but the command itself is left to do; it does not run where that throws.
    /// - Throws: ``ExecRefusal``, `OCIError`, what `admit` throws, `CancellationError` where nobody waits for it any more.
    public func exec(
        _ machine: String, boot: String, _ command: ExecCommand, admit: @Sendable () async throws -> Void
    ) async throws -> ExecResult {
        let name = try Self.name(machine, boot)
        guard self.command(of: name).kind != .other else { throw ExecRefusal.runtime(self.command(of: name).path) }
        let user = try execs.withLock { seats throws(ExecRefusal) in
            try seats.take(name) { !cgroups.exists(execCgroup(name, $0)) }
        }
        do {
            try await admit()
            try Task.checkCancellation()
            let pump = try await workers.run { [self] in try startExec(name, user, command) }
            var result = await pump.run()
            let kills = try await workers.run { [self] in endExec(name, user) }
            result.outOfMemory = kills > 0
            if result.ending == .cancelled { throw CancellationError() }
            return result
        } catch {
            _ = try? await workers.run { [self] in endExec(name, user) }
            throw error
        }
    }

    /// How many commands run in a machine.
    public func commands(_ machine: String, boot: String) -> Int {
        execs.withLock { $0.count(BootName(machine: machine, boot: boot)) }
    }

    private func execCgroup(_ name: BootName, _ user: UInt32) -> String { "\(configuration.cgroup(name))/\(Self.execPrefix)\(user)" }

    private func startExec(_ name: BootName, _ user: UInt32, _ command: ExecCommand) throws -> ExecPump {
        try execs.withLock { seats throws(ExecRefusal) in try seats.start(user, of: name) }
        defer { execs.withLock { $0.started(user, of: name) } }
        let begin = ContinuousClock.now
        let cgroup = execCgroup(name, user)
        try cgroups.makeInside(configuration.cgroup(name), cgroup)
        Failpoint.hit("exec.before-runtime")
        let files = ExecFiles(bundle: configuration.bundle(name), user: user)
        try Files.write(files.process, try ExecDocument(command: command, user: user).json())
        defer { files.remove() }

        let pipes = try ExecPipes()
        let runtime = self.command(of: name)
        do {
            try runtime.exec(
                name, subgroup: String(cgroup.dropFirst(configuration.cgroup(name).count)), process: files.process, pidFile: files.pid,
                log: files.log, stdio: pipes.theirs)
        } catch {
            if error.code == .runtimeFailed { throw ExecRefusal.notStarted(error.message) }
            throw error
        }
        pipes.closeTheirs()
        score(cgroup)
        Failpoint.hit("exec.after-runtime")
        guard let pid = Files.read(files.pid).flatMap({ Int32($0.filter { $0 != "\n" }) }) else {
            throw OCIError(.runtimeFailed, "\(name): the runtime wrote no pid of the command")
        }
        let pidfd = clinux_pidfd_open(pid)
        guard pidfd >= 0 else { throw OCIError.system("pidfd_open", "\(name)", -pidfd) }
        return try ExecPump(process: pid, pidfd: pidfd, streams: pipes.ours, command: command, begin: begin) { [cgroups] in
            cgroups.kill(cgroup)
        }
    }

    /// Has the kernel end the command first when memory is short. runc gives it the machine's own score, whatever it has itself and
    /// its document says; what the command has started by now has it too.
    private func score(_ cgroup: String) {
        let wanted = "\(ExecDocument.oomScore)"
        for _ in 0..<10 {
            let others = cgroups.processes(cgroup).filter { Files.read("/proc/\($0)/oom_score_adj")?.hasPrefix(wanted) == false }
            if others.isEmpty { return }
            // Of one that has ended meanwhile there is nothing to set.
            for pid in others { try? Files.set("/proc/\(pid)/oom_score_adj", wanted) }
        }
    }

    /// Ends what there is of a command, and gives its user back when nothing is.
    ///
    /// - Returns: how many of its processes the kernel ended for want of memory.
    private func endExec(_ name: BootName, _ user: UInt32) -> Int {
        let cgroup = execCgroup(name, user)
        let kills = cgroups.oomKills(cgroup)
        if !endCgroup(cgroup) {
            logger.warning("a command's processes do not end; its user is not used again", metadata: ["machine": "\(name)", "user": "\(user)"])
        }
        ExecFiles(bundle: configuration.bundle(name), user: user).remove()
        // Its folder is what keeps the user from being taken again where something is left.
        execs.withLock { $0.give(back: user, of: name) }
        return kills
    }

    /// Ends the commands that an earlier orchestrator ran in a machine which is adopted: nobody waits for them any more.
    func endExecs(of name: BootName) {
        let parent = configuration.cgroup(name)
        for child in cgroups.children(of: parent) where child.hasPrefix(Self.execPrefix) {
            let isGone = endCgroup("\(parent)/\(child)")
            logger.notice(
                "ended a command of an earlier orchestrator",
                metadata: ["machine": "\(name)", "command": "\(child)", "gone": "\(isGone)"])
        }
        let bundle = configuration.bundle(name)
        for file in Files.names(bundle) where file.hasPrefix(Self.execPrefix) { unlink("\(bundle)/\(file)") }
    }

    /// Whether nothing is left.
    private func endCgroup(_ cgroup: String) -> Bool {
        let end = ContinuousClock.now + .seconds(3)
        while !cgroups.processes(cgroup).isEmpty, ContinuousClock.now < end {
            cgroups.kill(cgroup)
            usleep(1_000)
        }
        return cgroups.processes(cgroup).isEmpty && cgroups.remove(cgroup).isEmpty
    }

    /// No command comes into a machine any more that is about to be removed.
    func endExecs(before removal: BootName) {
        let end = ContinuousClock.now + .seconds(2)
        while execs.withLock({ $0.end(removal) }), ContinuousClock.now < end {
            command.endStrays(of: removal)
            usleep(5_000)
        }
    }

    static let execPrefix = "exec-"
}

/// What the runtime reads and writes of a command, in the machine's bundle.
private struct ExecFiles {
    let process: String
    let pid: String
    let log: String

    init(bundle: String, user: UInt32) {
        let name = "\(bundle)/\(OCIRuntime.execPrefix)\(user)"
        (process, pid, log) = (name + ".json", name + ".pid", name + ".log")
    }

    func remove() { for file in [process, pid, log] { unlink(file) } }
}
