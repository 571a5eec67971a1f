import Glibc

/// Something of a machine that no row owns.
public struct Leftover: Sendable, Hashable {
    public enum Kind: String, Sendable {
        case process, cgroup, mount
        case runtimeState = "runtime_state"
        case bundle
        case mountPoint = "mount_point"
        case socket
        case runtimeProcess = "runtime_process"
    }
    public let kind: Kind
    /// A pid or a path.
    public let name: String
    /// `<machine>-<boot>`; empty when it cannot be told.
    public let boot: String
}

/// What a host holds of one installation's machines beyond those that somebody owns; for `berth doctor` and for the tests
/// that kill things at the worst moment.
public struct Leftovers: Sendable, Equatable {
    public let items: [Leftover]

    /// Looks in every place in which a machine exists. Reads only.
    ///
    /// - Parameter owned: `<machine>-<boot>` of every boot with a row.
    public static func scan(configuration: OCIConfiguration, owned: Set<String>) -> Leftovers {
        var items: [Leftover] = []
        let tree = CgroupTree.detect()
        for name in tree.children(of: configuration.cgroupPrefix).sorted() where !owned.contains(name) {
            let path = configuration.cgroupPrefix + "/" + name
            for pid in tree.processes(path).sorted() { items.append(Leftover(kind: .process, name: "\(pid)", boot: name)) }
            for hierarchy in tree.hierarchies where Files.isDirectory(hierarchy.root + path) {
                items.append(Leftover(kind: .cgroup, name: hierarchy.root + path, boot: name))
            }
        }
        for (directory, kind) in [
            (configuration.runtimeRoot, Leftover.Kind.runtimeState), (configuration.bundles, .bundle), (configuration.mounts, .mountPoint),
        ] {
            for name in Files.names(directory) where !owned.contains(name) {
                items.append(Leftover(kind: kind, name: directory + "/" + name, boot: name))
            }
        }
        items += mounts(configuration, owned) + sockets(configuration, owned)
        if let command = try? RuntimeCommand(configuration: configuration) {
            items += command.strays().map { Leftover(kind: .runtimeProcess, name: "\($0)", boot: "") }
        }
        return Leftovers(items: items)
    }

    /// Mounts that this process's threads see below our mount points.
    private static func mounts(_ configuration: OCIConfiguration, _ owned: Set<String>) -> [Leftover] {
        var found = Set<Leftover>()
        for task in Files.names("/proc/self/task") {
            guard let table = Files.read("/proc/self/task/\(task)/mountinfo", limit: 8 << 20) else { continue }
            for line in table.split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard fields.count > 4, fields[4].hasPrefix(configuration.mounts + "/") else { continue }
                let boot = fields[4].dropFirst(configuration.mounts.count + 1).prefix { $0 != "/" }
                if !owned.contains(String(boot)) { found.insert(Leftover(kind: .mount, name: String(fields[4]), boot: String(boot))) }
            }
        }
        return found.sorted { $0.name < $1.name }
    }

    /// Doors are named by boot id.
    private static func sockets(_ configuration: OCIConfiguration, _ owned: Set<String>) -> [Leftover] {
        let boots = Set(owned.compactMap { BootName($0)?.boot })
        let doors = configuration.runDirectory + "/doors"
        return Files.names(doors).filter { $0.hasSuffix(".sock") }.compactMap { name in
            let boot = String(name.dropLast(5))
            return boots.contains(boot) ? nil : Leftover(kind: .socket, name: doors + "/" + name, boot: boot)
        }
    }
}
