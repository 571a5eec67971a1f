import Glibc
import Synchronization

extension OCIRuntime {
    /// Removes whatever there is of one boot: processes, cgroups, mounts, runtime state, bundle, door. Idempotent; also for
    /// what was left behind half made.
    ///
    /// - Throws: `OCIError` `.notRemoved` with what is still there. The runtime's word is no proof: after a `create` that was
    ///   killed, `delete -f` answers 0 and leaves a living process.
    public func remove(_ machine: String, boot: String) async throws {
        let name = try Self.name(machine, boot)
        try await workers.run { [self] in try removeBlocking(name) }
    }

    func removeBlocking(_ name: BootName) throws {
        let cgroup = configuration.cgroup(name)
        endExecs(before: name)
        let before = cgroups.processes(cgroup)
        if Files.isDirectory(command.root + "/" + name.description) {
            _ = try? command(of: name).result(["delete", "-f", name.description], timeout: .seconds(20))
        }
        Failpoint.hit("remove.after-runtime")
        try empty(cgroup, name)
        Failpoint.hit("remove.after-kill")
        memoryWatch.forget(name)
        let busy = cgroups.remove(cgroup)
        guard busy.isEmpty else { throw OCIError(.notRemoved, "cgroups of \(name) are busy: \(busy.joined(separator: ", "))") }
        Failpoint.hit("remove.after-cgroups")
        let bundle = configuration.bundle(name)
        let root = RootFileSystem(bundle: bundle, mountPoint: configuration.mountPoint(name), stagesBinds: false)
        try root.unmount()
        try Files.removeTree(command.root + "/" + name.description)
        log.detach(name)
        if let door = Files.read(bundle + "/door"), Files.status(door).map({ $0.st_mode & S_IFMT == S_IFSOCK }) == true { unlink(door) }
        // Last, since it says where the door is.
        try Files.removeTree(bundle)
        execs.withLock { $0.forget(name) }
        reaper.reapUnwatched(before)
        // An emptied parent goes too, unless another machine is in it or about to be.
        creating.withLock { if $0 == 0 { cgroups.removeIfEmpty(configuration.cgroupPrefix) } }
    }

    /// Kills until nothing is left, which is the proof.
    private func empty(_ cgroup: String, _ name: BootName) throws {
        let deadline = ContinuousClock.now + .seconds(10)
        var pause: UInt32 = 500
        while true {
            let pids = cgroups.processes(cgroup)
            if pids.isEmpty { return }
            cgroups.kill(cgroup)
            guard ContinuousClock.now < deadline else {
                throw OCIError(
                    .notRemoved, "processes of \(name) do not end: \(pids.sorted())", hint: "they wait in the kernel; see /proc/PID/stack")
            }
            usleep(pause)
            pause = min(pause * 2, 50_000)
        }
    }
}
