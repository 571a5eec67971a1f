import AuthorCommands
import Glibc
import JSONText
import Orchestrator
import StdioBridge

/// `berth down --purge`: everything that was made for one state goes, and nothing else. No link is followed and no mount is
/// entered: what lies in the gateway's part is whoever's who took it over.
struct Purge {
    /// What stays, and why.
    struct Left {
        var path: String
        var why: String
    }

    let installation: Installation
    /// What there is to remove.
    private let paths: [String]
    /// Its parts of the shared cache.
    private let parts: [String]

    private static let own = Installation.files.union(["gateway", "orchestrator", "restoring"])

    /// - Throws: `Failure` where the directory is not Berth's alone.
    init(_ installation: Installation) throws {
        self.installation = installation
        let names = directoryNames(installation.state) ?? []
        if let stranger = names.sorted().first(where: { !Self.own.contains($0) && $0 != "lost+found" }) {
            throw Failure("\(installation.state) holds \(stranger), which is not Berth's", hint: "move it away, then run the command again")
        }
        if !names.isEmpty, Self.own.isDisjoint(with: names) || !names.contains("version") && !names.contains("lock") {
            throw Failure("\(installation.state) is no state of Berth's", hint: "name one with --state DIR")
        }
        var info = stat()
        if lstat(installation.state, &info) == 0, info.st_mode & S_IFMT != S_IFDIR || info.st_uid != 0 {
            throw Failure("\(installation.state) is no state of Berth's", hint: "name one with --state DIR")
        }
        paths = names.filter(Self.own.contains).sorted().map { installation.state + "/" + $0 }
        parts = SharedCacheRemoval.parts(of: installation.orchestratorState + "/images")
    }

    /// Whether there is anything.
    var isEmpty: Bool { paths.isEmpty && access(installation.runDirectory, F_OK) != 0 }

    /// Asks on the terminal; without one, only `--yes` is an answer.
    func confirm() throws {
        guard isatty(0) == 1 else {
            throw Failure("--purge removes \(installation.state) for good, and nobody can be asked here", hint: "add --yes", code: 64)
        }
        Output.error("This removes for good: \(installation.state) (\(Bytes.text(HostFiles.bytes(installation.state)))) with every key, connector,")
        Output.error("token and audit row in it, and its machines. A copy is made by: berth backup FILE\(installation.stateOption)")
        Output.prompt("Type yes to remove it: ")
        guard readLine(strippingNewline: true) == "yes" else { throw Failure("nothing was removed", hint: "type yes to remove it", code: 1) }
    }

    /// After everything was stopped.
    ///
    /// - Returns: what stays.
    func run() async throws -> [Left] {
        let lock = paths.isEmpty ? nil : try StateLock.take(installation.lock)
        defer { lock?.release() }
        var left: [Left] = []
        for item in try await OrchestratorService.leftovers(
            stateDirectory: installation.orchestratorState, runDirectory: installation.runDirectory, cgroupPrefix: installation.cgroupPrefix)
        {
            // A process or a cgroup that lives on may have what follows open.
            guard [.process, .cgroup, .mount].contains(item.kind) else { continue }
            throw Failure("\(item.kind.rawValue) \(item.name) of a machine is still there", hint: "berth doctor --leftovers\(installation.stateOption)")
        }
        // Before anything goes: what somebody has mounted there is somebody else's.
        if let mount = HostFiles.mounts(below: installation.state).first {
            throw Failure("\(mount) is a mount point, which --purge does not enter", hint: "unmount it, then run the command again")
        }
        // The lock last, so that nobody takes what is half gone for a state.
        for path in paths where path != installation.lock { remove(path, &left) }
        if left.isEmpty, !paths.isEmpty {
            unlink(installation.lock)
            if rmdir(installation.state) != 0, errno != ENOENT {
                let why = errno == EBUSY ? "it is a mount point, and empty" : String(cString: strerror(errno))
                left.append(Left(path: installation.state, why: directoryNames(installation.state) == ["lost+found"] ? "its file system's own" : why))
            }
        }
        remove(installation.runDirectory, &left)
        if rmdir(installation.runDirectory + ".mnt") != 0, errno != ENOENT {
            left.append(Left(path: installation.runDirectory + ".mnt", why: String(cString: strerror(errno))))
        }
        // Other states' are in it.
        rmdir("/run/berth")
        for kept in try SharedCacheRemoval.remove(parts, from: DiskUse.sharedCache) { left.append(Left(path: kept.path, why: kept.why)) }
        return left
    }

    private func remove(_ path: String, _ left: inout [Left]) {
        do {
            try HostFiles.remove(path)
        } catch {
            left.append(Left(path: path, why: Failure(of: error).message))
        }
    }
}
