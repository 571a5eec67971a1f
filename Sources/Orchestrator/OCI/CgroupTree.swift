import CLinux
import Glibc

/// The host's control groups as the machine layer uses them: the truth about which processes a machine has.
///
/// Paths are those of a configuration's `cgroupsPath`, from the root of each hierarchy. A host has one hierarchy
/// (version 2) or one per controller (version 1); what concerns a whole cgroup is done in every one.
struct CgroupTree: Sendable {
    /// One mounted hierarchy.
    struct Hierarchy: Sendable {
        enum Kind: Sendable, Equatable {
            case v1
            case v2
            /// A tmpfs in the place of a hybrid host's cgroup2, where crun leaves plain directories.
            case plain
        }
        /// `memory`, `cpu,cpuacct`, `unified`, …; empty for a pure version 2 host.
        let name: String
        let root: String
        let kind: Kind

        func controls(_ controller: String) -> Bool {
            kind == .v2 || name.split(separator: ",").contains { $0 == controller }
        }
    }

    static let mountPoint = "/sys/fs/cgroup"
    static let unified = mountPoint + "/unified"
    private static let magicV1 = 0x27e0eb
    private static let magicV2 = 0x6367_7270

    let hierarchies: [Hierarchy]

    /// Version 1 controllers beside a cgroup2 mount that is still visible.
    static var isHybrid: Bool { fileSystem(mountPoint) != magicV2 && fileSystem(unified) == magicV2 }

    /// Reads what is mounted, as the calling thread sees it.
    ///
    /// - Parameter hybridIsCovered: the threads that will use the tree see a tmpfs in place of a hybrid host's cgroup2.
    static func detect(hybridIsCovered: Bool = false) -> CgroupTree {
        if fileSystem(mountPoint) == magicV2 {
            return CgroupTree(hierarchies: [Hierarchy(name: "", root: mountPoint, kind: .v2)])
        }
        // Links such as `cpu` -> `cpu,cpuacct` are not directories, so each hierarchy is counted once.
        let hierarchies: [Hierarchy] = Files.names(mountPoint).compactMap { name in
            let root = mountPoint + "/" + name
            guard Files.isDirectory(root) else { return nil }
            if fileSystem(root) == magicV1 { return Hierarchy(name: name, root: root, kind: .v1) }
            return name == "unified" ? Hierarchy(name: name, root: root, kind: fileSystem(root) == magicV2 && !hybridIsCovered ? .v2 : .plain) : nil
        }
        return CgroupTree(hierarchies: hierarchies)
    }

    private static func fileSystem(_ path: String) -> Int { clinux_file_system(path) }

    /// Whether one hierarchy holds every controller.
    var isVersion2: Bool { hierarchies.count == 1 && hierarchies[0].kind == .v2 }

    /// The directory of `path` under the hierarchy of one controller.
    func directory(_ controller: String, _ path: String) -> String? {
        (hierarchies.first { $0.kind == .v1 && $0.controls(controller) } ?? hierarchies.first { $0.kind == .v2 && isVersion2 })
            .map { $0.root + path }
    }

    /// The names of the cgroups below `prefix`, in any hierarchy.
    func children(of prefix: String) -> Set<String> {
        var names = Set<String>()
        for hierarchy in hierarchies {
            let parent = hierarchy.root + prefix
            for name in Files.names(parent) where Files.isDirectory(parent + "/" + name) { names.insert(name) }
        }
        return names
    }

    /// Every process in the cgroup or below it, in any hierarchy. Dead ones that nobody waited for are not listed.
    func processes(_ path: String) -> Set<Int32> {
        var pids = Set<Int32>()
        for hierarchy in hierarchies where hierarchy.kind != .plain { Self.collect(hierarchy.root + path, into: &pids) }
        return pids
    }

    private static func collect(_ directory: String, into pids: inout Set<Int32>) {
        guard let text = Files.read(directory + "/cgroup.procs") else { return }
        for line in text.split(separator: "\n") { if let pid = Int32(line), pid > 0 { pids.insert(pid) } }
        for name in Files.names(directory) where Files.isDirectory(directory + "/" + name) {
            collect(directory + "/" + name, into: &pids)
        }
    }

    /// Whether a directory of the cgroup is left anywhere.
    func exists(_ path: String) -> Bool { hierarchies.contains { Files.isDirectory($0.root + path) } }

    /// Whether the process lives in the cgroup; a recycled pid does not.
    static func contains(_ path: String, pid: Int32) -> Bool {
        guard let text = Files.read("/proc/\(pid)/cgroup") else { return false }
        return text.split(separator: "\n").contains { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            return fields.count == 3 && (fields[2] == path || fields[2].hasPrefix(path + "/"))
        }
    }
}
