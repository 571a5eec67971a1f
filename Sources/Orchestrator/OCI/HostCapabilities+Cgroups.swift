import Glibc

/// Which control groups a host has, as far as machines care; judged apart from how it is found out, so that any host can
/// be judged anywhere.
struct CgroupSurvey: Sendable, Equatable {
    enum Hierarchy: Sendable, Equatable {
        /// One hierarchy per controller.
        case version1
        /// The same, beside a version 2 hierarchy without controllers.
        case hybrid
        /// One hierarchy for everything.
        case version2
        case none
    }
    var hierarchy: Hierarchy
    var controllers: Set<String>
    /// Whether a limit of memory holds for swap too; what version 2 always can.
    var countsSwap: Bool
    /// Version 2, seen from inside of a container: processes live in the cgroup below which machines would be made, so that the kernel
    /// lets no limit be set there ("no internal processes").
    var isOccupied = false

    private static let judged = ["memory", "cpu", "pids", "devices", "freezer"]

    /// What this host has.
    static func ofThisHost() -> CgroupSurvey {
        let tree = CgroupTree.detect(hybridIsCovered: true)
        if tree.isVersion2 {
            let offered = Files.read(CgroupTree.mountPoint + "/cgroup.controllers")?.split(whereSeparator: \.isWhitespace).map(String.init) ?? []
            return CgroupSurvey(
                hierarchy: .version2, controllers: Set(offered), countsSwap: true, isOccupied: isOccupied(CgroupTree.mountPoint, offered))
        }
        let isVersion1 = tree.hierarchies.contains { $0.kind == .v1 }
        let hasUnified = tree.hierarchies.contains { $0.kind == .plain }
        let swap = tree.directory("memory", "").map { Files.status($0 + "/memory.memsw.limit_in_bytes") != nil } ?? false
        return CgroupSurvey(
            hierarchy: !isVersion1 ? .none : hasUnified ? .hybrid : .version1,
            controllers: Set(judged.filter { tree.directory($0, "") != nil }), countsSwap: swap)
    }

    /// The host's own root, which has no type, is free of that rule; and what is on for children already stays on.
    private static func isOccupied(_ root: String, _ offered: [String]) -> Bool {
        guard Files.status(root + "/cgroup.type") != nil, Files.read(root + "/cgroup.procs")?.isEmpty == false else { return false }
        let passedOn = Set((Files.read(root + "/cgroup.subtree_control") ?? "").split(whereSeparator: \.isWhitespace).map(String.init))
        return !Set(offered).intersection(["memory", "cpu", "pids"]).isSubset(of: passedOn)
    }

    /// What machines make of it.
    var layers: [IsolationLayer] {
        let isVersion2 = hierarchy == .version2
        let version = isVersion2 ? "version 2" : hierarchy == .none ? "not mounted" : "version 1"
        func has(_ name: String) -> Bool { controllers.contains(name) }
        var layers = [layout]
        layers += ["memory", "cpu", "pids"].map { name in
            IsolationLayer(
                "cgroup-\(name)", has(name) ? .active : .missing, version,
                remedy: "mount the \(name) controller, or delegate it to this process (systemd: Delegate=yes)")
        }
        // Version 2 has no devices controller (a program does it) and freezes in the core.
        layers.append(
            IsolationLayer(
                "cgroup-devices", isVersion2 || has("devices") ? .active : .degraded, version, remedy: "mount the devices controller",
                isRequired: false))
        layers.append(
            IsolationLayer(
                "cgroup-freezer", isVersion2 || has("freezer") ? .active : .missing, version, remedy: "mount the freezer controller",
                isRequired: false))
        if !isVersion2, has("memory") {
            layers.append(
                IsolationLayer(
                    "swap-limit", countsSwap ? .active : .degraded, countsSwap ? "swap counts as memory" : "a machine may swap past its limit",
                    remedy: "boot with swapaccount=1", isRequired: false))
        }
        return layers
    }

    private var layout: IsolationLayer {
        let remedy =
            isOccupied
            ? "move them, as the container's first command: mkdir \(CgroupTree.mountPoint)/init; "
                + "for p in $(cat \(CgroupTree.mountPoint)/cgroup.procs); do echo $p > \(CgroupTree.mountPoint)/init/cgroup.procs; done"
            : "mount -t cgroup2 none \(CgroupTree.mountPoint)"
        let (state, detail): (IsolationLayer.State, String) =
            switch hierarchy {
            case .version1: (.active, "version 1")
            case .hybrid: (.active, "hybrid: version 1, and version 2 beside it")
            case .version2 where isOccupied: (.missing, "version 2, of a container whose processes live at its root")
            case .version2: (.active, "version 2")
            case .none: (.missing, "no control groups are mounted at \(CgroupTree.mountPoint)")
            }
        return IsolationLayer("cgroup-hierarchy", state, detail, remedy: remedy)
    }
}
