import AuthorCommands
import Glibc
import Orchestrator
import Persistence
import StdioBridge

/// What must be true before anything is started; each refusal is one line with its remedy. Nothing is changed here.
enum Preflight {
    /// The host: rights, the gateway's user, tools, what the kernel must offer.
    static func check(without: [String] = []) async throws {
        guard geteuid() == 0 else {
            throw Failure(
                "berth up needs root: machines are user namespaces, mounts and cgroups of this host",
                hint: Rights.again(CommandLine.arguments, state: getenv("BERTH_STATE").map { String(cString: $0) })
                    + "; bridge and doctor work for anybody")
        }
        guard getpwnam("berth") != nil else {
            throw Failure(
                "the system user berth is missing; the gateway runs as it, without any capability",
                hint: "useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin berth")
        }
        guard access("/usr/bin/mmdebstrap", X_OK) == 0 else {
            throw Failure("mmdebstrap is missing; it makes the base image", hint: "apt-get install mmdebstrap")
        }
        if let layer = await HostCapabilities.probe().blocking.first(where: { !without.contains($0.name) }) {
            throw Failure("machines need \(layer.name), which this host does not give: \(layer.detail)", hint: layer.remedy)
        }
    }

    /// The state directory, when it is there: ours alone, writable, of this version, and not a folder of something else.
    static func check(state path: String) throws {
        guard access(path, F_OK) == 0 else { return }
        try RestoredState.refuseUnfinished(path)
        do {
            try StateDirectory.check(path)
            if access(path + "/version", F_OK) == 0 { _ = try StateDirectory(path) }
        } catch {
            throw Failure(error.message, hint: error.remedy)
        }
        let own = Installation.files.union(["gateway", "orchestrator", "lost+found"])
        guard let stranger = (directoryNames(path) ?? []).first(where: { !own.contains($0) }) else { return }
        throw Failure("\(path) holds \(stranger), which is not Berth's", hint: "give --state a new or empty directory")
    }

    /// Makes the directory, private.
    static func make(state path: String) throws {
        do {
            try StateDirectory.prepare(path)
        } catch {
            throw Failure(error.message, hint: error.remedy)
        }
    }
}
