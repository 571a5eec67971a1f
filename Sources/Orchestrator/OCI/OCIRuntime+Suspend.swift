extension OCIRuntime {
    /// Freezes a living machine and gives its memory back where the host has swap. A frozen one stays as it is.
    ///
    /// - Returns: bytes that left memory; `nil` where the host has no swap.
    public func freeze(_ machine: String, boot: String) async throws -> Int? {
        let cgroup = configuration.cgroup(try Self.name(machine, boot))
        return try await workers.run { [self] in
            guard !cgroups.processes(cgroup).isEmpty else { throw OCIError(.notRunning, "\(machine) is not running") }
            Failpoint.hit("freeze.before")
            try cgroups.freezeWhole(cgroup)
            Failpoint.hit("freeze.after")
            return cgroups.reclaim(cgroup)
        }
    }

    public func isFrozen(_ machine: String, boot: String) async throws -> Bool {
        let cgroup = configuration.cgroup(try Self.name(machine, boot))
        return try await workers.run { [self] in cgroups.isFrozen(cgroup) }
    }

    /// Lets a machine run; one that runs is not touched.
    public func thaw(_ machine: String, boot: String) async throws {
        let cgroup = configuration.cgroup(try Self.name(machine, boot))
        try await workers.run { [self] in
            Failpoint.hit("thaw.before")
            try cgroups.thaw(cgroup)
            cgroups.endReclaim(cgroup)
        }
    }
}
