import Glibc

extension CgroupTree {
    /// Sends SIGKILL to everything in the cgroup, at once where the kernel can, so that no fork escapes.
    func kill(_ path: String) {
        for hierarchy in hierarchies where hierarchy.kind == .v2 {
            if (try? Files.set(hierarchy.root + path + "/cgroup.kill", "1")) != nil { return }
        }
        try? freeze(path)
        for pid in processes(path) { Glibc.kill(pid, SIGKILL) }
        // A frozen process dies only when it thaws.
        try? thaw(path)
    }

    func freeze(_ path: String) throws(OCIError) { try setFrozen(path, true) }

    func thaw(_ path: String) throws(OCIError) { try setFrozen(path, false) }

    /// Freezes, and returns when everything stands still.
    ///
    /// - Throws: after it has thawed what would not stand still within `seconds`.
    func freezeWhole(_ path: String, seconds: Int64 = 5) throws(OCIError) {
        try freeze(path)
        let deadline = ContinuousClock.now + .seconds(seconds)
        while !isFrozen(path) {
            guard ContinuousClock.now < deadline else {
                try thaw(path)
                throw OCIError(.system, "its processes did not stand still within \(seconds) s", hint: "they wait in the kernel; see /proc/PID/stack")
            }
            usleep(1_000)
        }
    }

    /// Whether everything in the cgroup stands still.
    func isFrozen(_ path: String) -> Bool {
        guard let directory = directory("freezer", path) else { return false }
        if isVersion2 { return value("frozen", in: directory + "/cgroup.events") == 1 }
        return Files.read(directory + "/freezer.state")?.hasPrefix("FROZEN") ?? false
    }

    private func setFrozen(_ path: String, _ frozen: Bool) throws(OCIError) {
        guard let directory = directory("freezer", path) else { throw OCIError(.system, "the host has no freezer") }
        if isVersion2 {
            try Files.set(directory + "/cgroup.freeze", frozen ? "1" : "0")
        } else {
            try Files.set(directory + "/freezer.state", frozen ? "FROZEN" : "THAWED")
        }
    }

    /// Makes a cgroup below another one, which is there, in every hierarchy. It has the other's limits.
    func makeInside(_ parent: String, _ path: String) throws(OCIError) {
        for hierarchy in hierarchies {
            let directory = hierarchy.root + path
            // Where crun keeps plain directories it makes them itself.
            if hierarchy.kind == .plain { continue }
            guard mkdir(directory, 0o755) == 0 else { throw .system("mkdir", directory, errno) }
            // Version 1 gives a new one no processor and no memory node at all.
            guard hierarchy.kind == .v1, hierarchy.controls("cpuset") else { continue }
            for file in ["cpuset.cpus", "cpuset.mems"] {
                guard let value = Files.read("\(hierarchy.root)\(parent)/\(file)") else { continue }
                try Files.set("\(directory)/\(file)", value.filter { $0 != "\n" })
            }
        }
    }

    /// Removes the cgroup's directories in every hierarchy. Returns what could not be removed.
    ///
    /// - Parameter attempts: a directory stays busy for a moment after its last process died.
    func remove(_ path: String, attempts: Int = 200) -> [String] {
        hierarchies.compactMap { hierarchy in
            let directory = hierarchy.root + path
            if hierarchy.kind == .plain {
                try? Files.removeTree(directory)
                return Files.isDirectory(directory) ? directory : nil
            }
            for _ in 0..<attempts {
                if Self.removeLeavesFirst(directory) { return nil }
                usleep(1_000)
            }
            return directory
        }
    }

    /// Removes the directories of a cgroup that holds neither processes nor other cgroups; leaves every other one.
    func removeIfEmpty(_ path: String) {
        for hierarchy in hierarchies { rmdir(hierarchy.root + path) }
    }

    private static func removeLeavesFirst(_ directory: String) -> Bool {
        guard Files.isDirectory(directory) else { return true }
        for name in Files.names(directory) where Files.isDirectory(directory + "/" + name) {
            guard removeLeavesFirst(directory + "/" + name) else { return false }
        }
        return rmdir(directory) == 0 || errno == ENOENT
    }

    /// Sets how much processor time the cgroup gets.
    func setCPUs(_ path: String, _ cpus: Double) throws(OCIError) {
        guard let directory = directory("cpu", path) else { throw OCIError(.system, "the host has no cpu controller") }
        let quota = CPUQuota.microseconds(cpus: cpus)
        if isVersion2 {
            try Files.set(directory + "/cpu.max", "\(quota) \(CPUQuota.period)")
        } else {
            try Files.set(directory + "/cpu.cfs_quota_us", "\(quota)")
        }
    }

    /// How many processes the kernel ended for want of memory; readable until the cgroup is removed.
    func oomKills(_ path: String) -> Int {
        guard let directory = directory("memory", path) else { return 0 }
        return value("oom_kill", in: directory + (isVersion2 ? "/memory.events" : "/memory.oom_control")) ?? 0
    }

    /// The number behind a word in a file of `word number` lines.
    func value(_ word: String, in file: String) -> Int? {
        guard let text = Files.read(file) else { return nil }
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2 && fields[0] == word { return Int(fields[1]) }
        }
        return nil
    }
}
