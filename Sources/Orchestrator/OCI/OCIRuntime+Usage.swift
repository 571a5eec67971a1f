import CLinux
import Glibc

extension OCIRuntime {
    /// What the machine uses; `nil` when it has no cgroup.
    public func statistics(_ machine: String, boot: String) async -> MachineStatistics? {
        guard let name = try? Self.name(machine, boot) else { return nil }
        return try? await workers.run { [self] in
            let cgroup = configuration.cgroup(name)
            guard var now = cgroups.statistics(cgroup) else { return nil }
            for pid in cgroups.processes(cgroup) {
                guard let count = OpenDescriptors.count(pid) else { continue }
                now.descriptors += count
                now.mostDescriptors = max(now.mostDescriptors, count)
                // Of its children; the agent may have more.
                now.descriptorLimit = max(now.descriptorLimit ?? 0, OpenDescriptors.limit(pid) ?? 0)
            }
            if let first = livingInit(name) {
                now.tmp = MachineFolder.use(of: "tmp", process: first)
                now.shm = MachineFolder.use(of: "dev/shm", process: first)
            }
            return now
        }
    }

    /// What is kept of what it wrote, through all its boots.
    func logBytes(_ machine: String) -> Int { log.bytes(machine) }
}

private enum OpenDescriptors {
    /// From Linux 6.2 on the folder's size is their number; before, they are counted.
    static func count(_ pid: Int32) -> Int? {
        let path = "/proc/\(pid)/fd"
        guard let status = Files.status(path) else { return nil }
        return status.st_size > 0 ? Int(status.st_size) : Files.names(path).count
    }

    static func limit(_ pid: Int32) -> Int? {
        // `Max open files  1024  4096  files`: the soft one, and the one that the process may give itself.
        let line = Files.read("/proc/\(pid)/limits")?.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        return line?.split(separator: " ").dropLast().last.flatMap { Int($0) }
    }
}

private enum MachineFolder {
    private static let tmpfs = 0x0102_1994

    /// A folder of memory as the machine has it, seen through its first process. Nothing of the machine is followed: its root is ours
    /// and cannot be written, and a name in it that is a link is refused.
    static func use(of folder: String, process: Int32) -> MachineStatistics.FileSystemUse? {
        let descriptor = Descriptor(open("/proc/\(process)/root/\(folder)", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        var use = statvfs()
        guard descriptor.value >= 0, clinux_file_system("/proc/self/fd/\(descriptor.value)") == tmpfs, fstatvfs(descriptor.value, &use) == 0
        else { return nil }
        let block = Int(use.f_frsize)
        return MachineStatistics.FileSystemUse(used: max(0, Int(use.f_blocks) - Int(use.f_bfree)) * block, limit: Int(use.f_blocks) * block)
    }
}
