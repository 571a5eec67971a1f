import Glibc

extension CgroupTree {
    /// Makes the machine's memory cgroup, which the runtime then finds, and opens the file in which the kernel counts what it ends
    /// there for want of memory: for the machine's agent, which has no way to it. Nobody can write by it: the file is host root's.
    ///
    /// - Returns: -1 where there is none.
    func openMemoryKills(_ path: String) -> Descriptor {
        guard let directory = directory("memory", path) else { return Descriptor(-1) }
        if let slash = directory.lastIndex(of: "/") { mkdir(String(directory[..<slash]), 0o755) }
        mkdir(directory, 0o755)
        return Descriptor(open(directory + (isVersion2 ? "/memory.events" : "/memory.oom_control"), O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
    }
}
