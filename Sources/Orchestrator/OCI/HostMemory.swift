import Glibc

/// How much memory this host has, and how much of it is to be had now, in bytes: of the machine that the kernel runs on, or of the
/// control groups around this process (in a container, say), whichever is less.
struct HostMemory: Sendable, Equatable {
    var total: Int
    var available: Int

    /// What the kernel says now.
    static func now() -> HostMemory { HostMemory(proc: "/proc", tree: CgroupTree.detect(hybridIsCovered: true)) }

    init(total: Int, available: Int) {
        self.total = total
        self.available = available
    }

    /// - Parameters:
    ///   - proc: where `meminfo` and `self/cgroup` are.
    ///   - tree: the hierarchies as they are mounted here.
    init(proc: String, tree: CgroupTree) {
        var info: [Substring: Int] = [:]
        for line in (Files.read(proc + "/meminfo") ?? "").split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == ":" })
            if words.count >= 2, let number = Int(words[1]) { info[words[0]] = number << 10 }
        }
        total = info["MemTotal"] ?? 0
        available = info["MemAvailable"] ?? info["MemFree"] ?? 0
        for directory in Self.groups(proc, tree) {
            guard let group = tree.memoryUse(of: directory), group.limit < total else { continue }
            total = group.limit
            available = min(available, max(0, group.limit - group.workingSet))
        }
    }

    /// The directories of this process's memory cgroup and of all above it, as far as they can be seen here.
    private static func groups(_ proc: String, _ tree: CgroupTree) -> [String] {
        guard let root = tree.directory("memory", "") else { return [] }
        let own = (Files.read(proc + "/self/cgroup") ?? "").split(separator: "\n").compactMap { line -> Substring? in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return nil }
            let isOurs = tree.isVersion2 ? fields[0] == "0" : fields[1].split(separator: ",").contains("memory")
            return isOurs ? fields[2] : nil
        }.first ?? "/"
        var groups = [root]
        for part in own.split(separator: "/") where part != ".." { groups.append((groups.last ?? root) + "/" + part) }
        return groups
    }
}

extension CgroupTree {
    /// `nil` where the group is not there or has no limit, as a hierarchy's root.
    fileprivate func memoryUse(of directory: String) -> (limit: Int, workingSet: Int)? {
        func number(_ file: String) -> Int? { Files.read(directory + "/" + file).flatMap { Int($0.filter { $0 != "\n" }) } }
        guard let limit = number(isVersion2 ? "memory.max" : "memory.limit_in_bytes"),
            let used = number(isVersion2 ? "memory.current" : "memory.usage_in_bytes")
        else { return nil }
        let cached = value(isVersion2 ? "inactive_file" : "total_inactive_file", in: directory + "/memory.stat") ?? 0
        return (limit, max(0, used - cached))
    }
}
