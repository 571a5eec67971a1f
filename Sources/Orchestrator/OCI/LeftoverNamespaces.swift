import CLinux
import Glibc

/// Finds namespaces of an installation's machines that live on without an owned boot: kept by a process that runs in one, by
/// an open descriptor, or by a mount.
///
/// Whose a namespace is, is decided by the user namespace that owns it. That one is a machine's when a process of the
/// machine's cgroup lives in it, or else when its ids are a range that a machine of this installation gets. Two
/// installations of a host seldom share ranges; what is left in a shared one is told by both.
struct LeftoverNamespaces {
    let configuration: OCIConfiguration
    let owned: Set<String>
    let slots: Range<Int>

    private static let kinds = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"]

    /// What is known of a user namespace from the processes in it.
    private enum Standing: Equatable {
        case owned
        /// Of another installation.
        case foreign
        case left(boot: String)
    }

    /// - Parameter tables: every mount table of the host.
    func search(_ tables: [MountTable]) -> [Leftover] {
        var own = Set(Self.kinds.compactMap { Files.link("/proc/self/ns/\($0)") })
        guard let host = Files.link("/proc/self/ns/user") else { return [] }
        for task in Files.names("/proc/self/task") { own.formUnion([Files.link("/proc/self/task/\(task)/ns/mnt")].compactMap(\.self)) }

        // By name, `net:[4026532345]`: the path that holds it.
        var holders: [String: String] = [:]
        var standings: [String: Standing] = [:]
        for pid in HostProcesses.all() {
            let links = Self.kinds.map { (path: "/proc/\(pid)/ns/\($0)", name: Files.link("/proc/\(pid)/ns/\($0)")) }
            if let user = links[0].name, user != host {
                let standing = standing(of: pid)
                // A dead process has left its cgroup, and holds nothing that it will not let go.
                guard Files.link("/proc/\(pid)/ns/net") != nil else { continue }
                if let standing { standings[user] = Self.stronger(standings[user], standing) }
            }
            for case (let path, let name?) in links where !own.contains(name) && holders[name] == nil { holders[name] = path }
            for descriptor in Files.names("/proc/\(pid)/fd") {
                let path = "/proc/\(pid)/fd/\(descriptor)"
                guard let name = Files.link(path), Self.isNamespace(name), !own.contains(name), holders[name] == nil else { continue }
                holders[name] = path
            }
        }
        var below: [String: Leftover] = [:]
        for table in tables {
            for mount in table.mounts where mount.type == "nsfs" {
                if mount.point.hasPrefix(configuration.runDirectory + "/") || mount.point.hasPrefix(configuration.mounts + "/") {
                    // Whose ever it is; once, however many mount namespaces have it.
                    if below[mount.root] == nil { below[mount.root] = Leftover(.namespace, table.prefix + mount.point) }
                } else if holders[mount.root] == nil, !own.contains(mount.root) {
                    holders[mount.root] = table.prefix + mount.point
                }
            }
        }
        var ranges: [String: Bool] = [:]
        var kept: [Leftover] = []
        for path in holders.values.sorted() {
            guard let outermost = UserNamespace(owning: path, below: host) else { continue }
            switch standings[outermost.name] {
            case .owned, .foreign: continue
            case .left(let boot): kept.append(Leftover(.namespace, path, boot: boot))
            case nil:
                if ranges[outermost.name] == nil { ranges[outermost.name] = isRangeOfOurs(outermost.map() ?? "") }
                if ranges[outermost.name] == true { kept.append(Leftover(.namespace, path)) }
            }
        }
        return below.values.sorted { $0.name < $1.name } + kept
    }

    private static func isNamespace(_ name: String) -> Bool { kinds.contains { name.hasPrefix($0 + ":[") } }

    private static func stronger(_ one: Standing?, _ other: Standing) -> Standing {
        // A process that somebody owns owns the namespace that it lives in, whoever else is in it.
        if let one, one == .owned || one == .foreign { return one }
        return other
    }

    /// By its cgroup; while a runtime is still making it, by the runtime's arguments.
    private func standing(of pid: Int32) -> Standing? {
        for path in Self.cgroupPaths(of: pid) {
            let parts = path.split(separator: "/", maxSplits: 2).map(String.init)
            guard parts.count > 1, BootName(parts[1]) != nil else { continue }
            if "/" + parts[0] == configuration.cgroupPrefix { return owned.contains(parts[1]) ? .owned : .left(boot: parts[1]) }
            if parts[0].hasPrefix("berth-") { return .foreign }
        }
        guard let arguments = RuntimeCommand.arguments(of: pid) else { return nil }
        guard arguments.contains(where: { $0 == configuration.runtimeRoot }) else { return .foreign }
        let name = arguments.compactMap { BootName(String($0)) }.last?.description ?? ""
        return owned.contains(name) ? .owned : .left(boot: name)
    }

    private static func cgroupPaths(of pid: Int32) -> [Substring] {
        (Files.read("/proc/\(pid)/cgroup") ?? "").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            return fields.count == 3 ? fields[2] : nil
        }
    }

    /// Whether the ids of a user namespace are one machine's range of this installation, and nothing else.
    func isRangeOfOurs(_ map: String) -> Bool {
        let lines = map.split(separator: "\n").map { $0.split(separator: " ").compactMap { Int($0) } }
        guard lines.count == 1, lines[0].count == 3, lines[0][0] == 0, lines[0][2] == MachineSpec.uidCount else { return false }
        let offset = lines[0][1] - MachineSpec.uidBase(slot: 0)
        return offset >= 0 && offset % MachineSpec.uidCount == 0 && slots.contains(offset / MachineSpec.uidCount)
    }
}

/// A user namespace right below this process's own.
private struct UserNamespace: ~Copyable {
    /// As in `/proc/PID/ns/user`.
    let name: String
    private let descriptor: Descriptor

    /// The one that holds the owner of the namespace at `path`, if that is not our own.
    init?(owning path: String, below host: String) {
        var current = Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK))
        guard current.value >= 0 else { return nil }
        // The owner of a user namespace is the one around it.
        if Files.link("/proc/self/fd/\(current.value)")?.hasPrefix("user:") != true {
            current = Descriptor(clinux_namespace_owner(current.value))
        }
        // The kernel nests them 32 deep at most.
        for _ in 0..<33 {
            guard current.value >= 0, let name = Files.link("/proc/self/fd/\(current.value)"), name != host else { return nil }
            let parent = Descriptor(clinux_namespace_parent(current.value))
            guard parent.value >= 0 else { return nil }
            if Files.link("/proc/self/fd/\(parent.value)") == host {
                self.name = name
                descriptor = current
                return
            }
            current = parent
        }
        return nil
    }

    /// Its `uid_map`, in host ids; nil when it cannot be read.
    func map() -> String? {
        var bytes = [CChar](repeating: 0, count: 1_024)
        let count = clinux_uid_map(descriptor.value, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }
}
