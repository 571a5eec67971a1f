import CLinux
import Glibc

extension OCIRuntime {
    /// Every boot of which the host holds anything: cgroup, runtime state, bundle or mount point.
    public func survey() async throws -> [SurveyedMachine] {
        try await workers.run { [self] in
            var names = cgroups.children(of: configuration.cgroupPrefix)
            for directory in [command.root, configuration.bundles, configuration.mounts] { names.formUnion(Files.names(directory)) }
            return names.compactMap(BootName.init).sorted { $0.description < $1.description }.map { name in
                SurveyedMachine(
                    machine: name.machine, boot: name.boot, pids: cgroups.processes(configuration.cgroup(name)).sorted())
            }
        }
    }

    /// Takes over a machine that an earlier orchestrator made: its output is read on, and its end arrives on `exits`.
    ///
    /// `nil` when its first process is gone or is not certainly the machine's; then it is a leftover to remove.
    public func adopt(_ machine: String, boot: String) async -> CreatedMachine? {
        guard let name = try? Self.name(machine, boot) else { return nil }
        return try? await workers.run { [self] in
            guard let pid = livingInit(name) else { return nil }
            let pidfd = clinux_pidfd_open(pid)
            guard pidfd >= 0 else { return nil }
            // Asked again with the descriptor in hand: it cannot become another process now.
            guard CgroupTree.contains(configuration.cgroup(name), pid: pid),
                (try? log.attach(name, fifo: configuration.bundle(name) + "/output")) != nil
            else {
                close(pidfd)
                return nil
            }
            endExecs(of: name)
            watch(name, pid: pid, pidfd: pidfd)
            return CreatedMachine(machine: name.machine, boot: name.boot, pid: pid, isStarted: command(of: name).isStarted(name))
        }
    }

    /// The pid that `create` wrote, if that process lives in the machine's cgroup.
    func livingInit(_ name: BootName) -> Int32? {
        guard let pid = Files.read(configuration.bundle(name) + "/pid").flatMap({ Int32($0.filter { $0 != "\n" }) }),
            CgroupTree.contains(configuration.cgroup(name), pid: pid)
        else { return nil }
        return pid
    }
}
