import CLinux
import Glibc

/// One layer of a machine's isolation, or something that machines need from the host.
public struct IsolationLayer: Sendable, Equatable {
    public enum State: String, Sendable {
        case active
        /// There, but with less than it should do.
        case degraded
        case missing
    }
    /// Stable and short: `user-namespace`, `seccomp`, ….
    public let name: String
    public let state: State
    public let detail: String
    /// What to do about it; empty when active.
    public let remedy: String
    /// Machines do not start without it.
    public let isRequired: Bool

    init(_ name: String, _ state: State, _ detail: String, remedy: String = "", isRequired: Bool = true) {
        self.name = name
        self.state = state
        self.detail = detail
        self.remedy = state == .active ? "" : remedy
        self.isRequired = isRequired
    }
}

/// What this host offers machines; for `berth doctor` and for the `isolation` list of a machine.
public struct HostCapabilities: Sendable, Equatable {
    public let layers: [IsolationLayer]

    /// The names of what is active.
    public var isolation: [String] { layers.filter { $0.state == .active }.map(\.name) }
    /// What must be remedied before a machine starts.
    public var blocking: [IsolationLayer] { layers.filter { $0.isRequired && $0.state == .missing } }

    /// Looks at the host; starts nothing but `<runtime> --version`.
    public static func probe(runtimePath: String = "", memoryBudget: MemoryBudgetSetting = .standard) async -> HostCapabilities {
        let pidfd = pidfd()
        // A command's end is waited for by a pidfd: without one the runtime is found, but not asked.
        var layers = [privilege(), await runtime(runtimePath, isAsked: pidfd.state == .active)]
        layers += [userNamespace()]
        layers += [
            ("pid", "process ids"), ("mnt", "mounts"), ("net", "network"), ("ipc", "IPC"), ("uts", "host name"), ("cgroup", "cgroup names"),
        ].map { namespace($0.0, $0.1) }
        layers += [seccomp(), overlay()]
        layers += CgroupSurvey.ofThisHost().layers
        layers += [pidfd, landlock(), swap(), memory(memoryBudget)]
        return HostCapabilities(layers: layers)
    }

    private static func privilege() -> IsolationLayer {
        // CAP_SYS_ADMIN is bit 21.
        let effective =
            Files.read("/proc/self/status")?.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
            .flatMap { UInt64($0.dropFirst(7).filter { !$0.isWhitespace }, radix: 16) } ?? 0
        let isEnough = geteuid() == 0 && effective & (1 << 21) != 0
        return IsolationLayer(
            "privilege", isEnough ? .active : .missing, isEnough ? "root with CAP_SYS_ADMIN" : "uid \(geteuid())",
            remedy: "run `berth up` as root; in a container, with --privileged")
    }

    private static func runtime(_ path: String, isAsked: Bool) async -> IsolationLayer {
        let candidates = path.isEmpty ? OCIConfiguration.runtimeCandidates : [path]
        guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
            return IsolationLayer("oci-runtime", .missing, "neither crun nor runc found", remedy: "apt-get install crun")
        }
        guard isAsked else { return IsolationLayer("oci-runtime", .active, found) }
        let version = (try? await HostCommand.run(found, ["--version"], timeout: .seconds(10)))?.text.split(separator: "\n").first
        guard let version else { return IsolationLayer("oci-runtime", .missing, "\(found) does not answer", remedy: "apt-get install crun") }
        return IsolationLayer("oci-runtime", .active, "\(found): \(version)")
    }

    private static func userNamespace() -> IsolationLayer {
        let limit = Files.read("/proc/sys/user/max_user_namespaces").flatMap { Int($0.filter { $0 != "\n" }) } ?? 0
        let exists = Files.status("/proc/self/ns/user") != nil && limit > 0
        return IsolationLayer(
            "user-namespace", exists ? .active : .missing, exists ? "a range of 65,536 user ids per machine" : "limit is \(limit)",
            remedy: "sysctl -w user.max_user_namespaces=10000")
    }

    private static func namespace(_ file: String, _ what: String) -> IsolationLayer {
        let exists = Files.status("/proc/self/ns/\(file)") != nil
        return IsolationLayer(
            "\(file == "mnt" ? "mount" : file)-namespace", exists ? .active : .missing, "\(what) of its own",
            remedy: "use a kernel with namespaces for \(what)")
    }

    private static func seccomp() -> IsolationLayer {
        let actions = Files.read("/proc/sys/kernel/seccomp/actions_avail") ?? ""
        let works = actions.split(whereSeparator: \.isWhitespace).contains("errno")
        return IsolationLayer(
            "seccomp", works ? .active : .missing, works ? "default-deny list of system calls" : "the kernel has no filter",
            remedy: "use a kernel with CONFIG_SECCOMP_FILTER")
    }

    private static func overlay() -> IsolationLayer {
        // Debian has it as a module, which nobody has loaded on a host that has run no container yet.
        let known = Files.read("/proc/filesystems")?.contains("\toverlay\n") == true || clinux_knows_file_system("overlay") == 1
        return IsolationLayer(
            "read-only-root", known ? .active : .missing, known ? "overlay without an upper layer" : "the kernel has no overlayfs",
            remedy: "modprobe overlay")
    }

    private static func pidfd() -> IsolationLayer {
        let descriptor = clinux_pidfd_open(getpid())
        if descriptor >= 0 { close(descriptor) }
        return IsolationLayer(
            "pidfd", descriptor >= 0 ? .active : .missing, "watching and signalling without races", remedy: "use Linux 5.4 or newer")
    }

    private static func landlock() -> IsolationLayer {
        let lists = Files.read("/sys/kernel/security/lsm")
        let active = lists?.contains("landlock") ?? false
        return IsolationLayer(
            "landlock", active ? .active : .degraded, active ? "for servers that sandbox themselves" : "not known to be active",
            remedy: "boot with landlock in lsm=", isRequired: false)
    }

    private static func memory(_ setting: MemoryBudgetSetting) -> IsolationLayer {
        let host = HostMemory.now()
        let isShort = host.available < MemoryBudget.reserve
        return IsolationLayer(
            "memory-budget", isShort ? .degraded : .active,
            "\(setting.bytes(of: host.total) >> 20) of \(host.total >> 20) MiB for machines, \(host.available >> 20) MiB available now",
            remedy: "free memory: machines are refused while less than \(MemoryBudget.reserve >> 20) MiB would be left", isRequired: false)
    }

    private static func swap() -> IsolationLayer {
        let lines = Files.read("/proc/swaps")?.split(separator: "\n").count ?? 0
        return IsolationLayer(
            "suspend-frees-memory", lines > 1 ? .active : .degraded, lines > 1 ? "swap is on" : "no swap: a suspended machine keeps its memory",
            remedy: "add zram swap (modprobe zram; zramctl; mkswap; swapon)", isRequired: false)
    }
}
