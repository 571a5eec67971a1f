import Glibc

/// Finds files of an installation that belong to no machine, no build and no running Berth.
struct LeftoverFiles {
    let configuration: OCIConfiguration
    let owned: Set<BootName>

    /// Longer than any build takes, whose jobs end after ten minutes each.
    static let longestBuild = 2 * 3_600

    /// Doors without a boot, and sockets of processes that are gone.
    func sockets() -> [Leftover] {
        let boots = Set(owned.map(\.boot))
        let doors = configuration.runDirectory + "/doors"
        var items = Files.names(doors).filter { $0.hasSuffix(".sock") }.compactMap { name -> Leftover? in
            let boot = String(name.dropLast(5))
            return boots.contains(boot) ? nil : Leftover(.socket, doors + "/" + name, boot: boot)
        }
        let others = Files.names(configuration.runDirectory).map { configuration.runDirectory + "/" + $0 }.filter {
            Files.status($0).map { $0.st_mode & S_IFMT == S_IFSOCK } ?? false
        }
        guard !others.isEmpty, !isRunning else { return items }
        let bound = Set((Files.read("/proc/net/unix", limit: 16 << 20) ?? "").split(separator: "\n").compactMap { $0.split(separator: " ").last })
        items += others.filter { !bound.contains($0[...]) }.map { Leftover(.socket, $0) }
        return items
    }

    /// Ways out of builds that are over.
    func egress() -> [Leftover] {
        let machines = Set(owned.map(\.machine))
        let directory = configuration.runDirectory + "/egress"
        return Files.names(directory).filter { !machines.contains($0) }.flatMap { name -> [Leftover] in
            let folder = directory + "/" + name
            let sockets = Files.names(folder).filter { $0.hasSuffix(".sock") }.map { Leftover(.socket, folder + "/" + $0) }
            return sockets + [Leftover(.egress, folder)]
        }
    }

    /// Images and uploads under way, of which an orchestrator that lives may have some: then only what is too old for that.
    func halfMade() -> [Leftover] {
        let building = configuration.stateDirectory + "/images/building"
        let uploads = configuration.stateDirectory + "/uploads"
        let found =
            Files.names(building).map { building + "/" + $0 } + Files.names(uploads).filter { $0.hasPrefix("part-") }.map { uploads + "/" + $0 }
        guard !found.isEmpty else { return [] }
        let isRunning = isRunning
        return found.filter { !isRunning || Self.isOlderThanAnyBuild($0) }.map { Leftover(.halfMade, $0) }
    }

    /// Logs of machines that are no more.
    func logs(machines: Set<String>) -> [Leftover] {
        Self.unownedLogs(configuration.logs, machines: machines.union(owned.map(\.machine))).map { Leftover(.log, $0) }
    }

    static func unownedLogs(_ directory: String, machines: Set<String>) -> [String] {
        Files.names(directory).filter { !machines.contains(String($0.prefix { $0 != "." })) }.map { directory + "/" + $0 }
    }

    private static func isOlderThanAnyBuild(_ path: String) -> Bool {
        guard let status = Files.status(path) else { return false }
        return time(nil) - Files.parts(of: status.st_mtim).seconds > longestBuild
    }

    /// Whether an orchestrator of this state runs, or the supervisor that will start it again.
    private var isRunning: Bool {
        let state = configuration.stateDirectory
        let parent = state.lastIndex(of: "/").map { String(state[..<$0]) } ?? ""
        return [state + "/lock", parent + "/lock"].contains(where: Self.isLocked)
    }

    private static func isLocked(_ path: String) -> Bool {
        let descriptor = Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
        return descriptor.value >= 0 && flock(descriptor.value, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }
}
