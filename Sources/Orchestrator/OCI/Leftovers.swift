import Glibc

/// Something of a machine or of a build that nothing owns.
public struct Leftover: Sendable, Hashable {
    public enum Kind: String, Sendable {
        case process, cgroup, mount
        /// Of a machine, kept by something outside its cgroup; named by the path that holds it.
        case namespace
        case runtimeState = "runtime_state"
        case bundle
        case mountPoint = "mount_point"
        case socket
        /// The folder of a build's way out.
        case egress
        case runtimeProcess = "runtime_process"
        /// An image or upload that nobody finishes.
        case halfMade = "half_made"
        case log
    }
    public let kind: Kind
    /// A pid or a path.
    public let name: String
    /// `<machine>-<boot>`; empty when it cannot be told.
    public let boot: String

    init(_ kind: Kind, _ name: String, boot: String = "") {
        self.kind = kind
        self.name = name
        self.boot = boot
    }
}

/// What a host holds of one installation's machines and builds beyond those that somebody owns; for `berth doctor` and for
/// the tests that kill things at the worst moment.
///
/// Base and builder trees under `/var/cache/berth` belong to every installation of the host and are not looked at.
public struct Leftovers: Sendable, Equatable {
    public let items: [Leftover]

    /// Looks in every place in which a machine exists. Reads only.
    ///
    /// - Parameters:
    ///   - owned: `<machine>-<boot>` of every boot with a row.
    ///   - machines: those that may have a log; nil: not known, logs are not judged.
    ///   - slots: the ranges of user ids that are this installation's alone; nil: those that its orchestrator gives.
    public static func scan(
        configuration: OCIConfiguration, owned: Set<String>, machines: Set<String>? = nil, slots: Range<Int>? = nil
    ) -> Leftovers {
        var items = cgroups(configuration, owned)
        for (directory, kind) in [
            (configuration.runtimeRoot, Leftover.Kind.runtimeState), (configuration.bundles, .bundle), (configuration.mounts, .mountPoint),
        ] {
            for name in Files.names(directory) where !owned.contains(name) { items.append(Leftover(kind, directory + "/" + name, boot: name)) }
        }
        items += runtimeProcesses(configuration, owned)
        let tables = MountTable.all()
        items += mounts(configuration, owned, tables)
        let slots = slots ?? UserIDs.slots(configuration.cgroupPrefix)
        items += LeftoverNamespaces(configuration: configuration, owned: owned, slots: slots).search(tables)
        let files = LeftoverFiles(configuration: configuration, owned: Set(owned.compactMap { BootName($0) }))
        items += files.sockets() + files.egress() + files.halfMade()
        if let machines { items += files.logs(machines: machines) }
        return Leftovers(items: items)
    }

    private static func cgroups(_ configuration: OCIConfiguration, _ owned: Set<String>) -> [Leftover] {
        var items: [Leftover] = []
        let tree = CgroupTree.detect()
        let prefix = configuration.cgroupPrefix
        func list(_ path: String, boot: String) {
            for pid in tree.processes(path).sorted() { items.append(Leftover(.process, "\(pid)", boot: boot)) }
            for hierarchy in tree.hierarchies where Files.isDirectory(hierarchy.root + path) {
                items.append(Leftover(.cgroup, hierarchy.root + path, boot: boot))
            }
        }
        let names = tree.children(of: prefix)
        for name in names.sorted() where !owned.contains(name) { list(prefix + "/" + name, boot: name) }
        // The parent goes with its last machine; while a row says that one is coming, it may be empty.
        if names.isEmpty && owned.isEmpty { list(prefix, boot: "") }
        return items
    }

    /// Runtimes at work on our state, but for those that work on something owned.
    private static func runtimeProcesses(_ configuration: OCIConfiguration, _ owned: Set<String>) -> [Leftover] {
        HostProcesses.others().compactMap { pid in
            guard let arguments = RuntimeCommand.arguments(of: pid, root: configuration.runtimeRoot),
                !arguments.contains(where: { owned.contains(String($0)) })
            else { return nil }
            return Leftover(.runtimeProcess, "\(pid)", boot: arguments.compactMap { BootName(String($0)) }.last?.description ?? "")
        }
    }

    /// Roots of machines, in whichever mount namespace, and whatever this process sees below the run directory.
    private static func mounts(_ configuration: OCIConfiguration, _ owned: Set<String>, _ tables: [MountTable]) -> [Leftover] {
        var found = Set<Leftover>()
        for table in tables {
            for mount in table.mounts {
                if mount.point.hasPrefix(configuration.mounts + "/") {
                    let boot = String(mount.point.dropFirst(configuration.mounts.count + 1).prefix { $0 != "/" })
                    if !owned.contains(boot) { found.insert(Leftover(.mount, mount.point, boot: boot)) }
                } else if table.isOwn, mount.point.hasPrefix(configuration.runDirectory + "/") {
                    // The gateway's own mount there is in a namespace of its own.
                    found.insert(Leftover(.mount, mount.point))
                }
            }
        }
        return found.sorted { $0.name < $1.name }
    }
}

/// The processes of the host, as this process sees them.
enum HostProcesses {
    /// The lowest first: of two that hold the same thing, the one that was there before.
    static func all() -> [Int32] { Files.names("/proc").compactMap { Int32($0) }.sorted() }

    static func others() -> [Int32] {
        let own = getpid()
        return all().filter { $0 != own }
    }
}

extension Files {
    /// What a link names, also one of the kernel's that leads to no path.
    static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }
}

/// What is mounted in one mount namespace.
struct MountTable {
    struct Mount: Equatable {
        /// What of the file system is mounted; for a namespace its name, `net:[4026531833]`.
        let root: String
        let point: String
        let type: String
    }
    /// Where this namespace's files are found from here: empty, or `/proc/PID/root`.
    let prefix: String
    let mounts: [Mount]

    var isOwn: Bool { prefix.isEmpty }

    /// Every mount namespace in which a process lives, once; first those of this process's threads.
    static func all() -> [MountTable] {
        var seen = Set<String>()
        func read(_ process: String, prefix: String) -> MountTable? {
            guard let name = Files.link("/proc/\(process)/ns/mnt"), !seen.contains(name),
                let text = Files.read("/proc/\(process)/mountinfo", limit: 8 << 20)
            else { return nil }
            seen.insert(name)
            return MountTable(prefix: prefix, mounts: parse(text))
        }
        let own = Files.names("/proc/self/task").compactMap { read("self/task/\($0)", prefix: "") }
        return own + HostProcesses.others().compactMap { read("\($0)", prefix: "/proc/\($0)/root") }
    }

    static func parse(_ mountinfo: String) -> [Mount] {
        mountinfo.split(separator: "\n").compactMap { line in
            // 36 35 98:0 /root /point options [optional fields] - type source options
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), dash + 1 < fields.count else { return nil }
            return Mount(root: String(fields[3]), point: String(fields[4]), type: String(fields[dash + 1]))
        }
    }
}
