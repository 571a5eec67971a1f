import ArgumentParser
import AuthorCommands
import CLinux
import FoundationEssentials
import Gateway
import Glibc
import Orchestrator
import Persistence
import Wire

/// `berth orchestrator`: the privileged half. `Main` has already given it a mount namespace of its own.
struct OrchestratorProcess: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "orchestrator", shouldDisplay: false)
    @OptionGroup var settings: UpSettings
    @Flag var stopAll = false

    func run() async throws {
        clinux_set_name("berth-orchestr")
        let installation = try settings.state.installation()
        let lifeline = try Lifeline(watchesInput: !stopAll)
        try await OrchestratorService.run(
            try settings.orchestratorConfiguration(installation, stopAll: stopAll), ready: ProcessLog.ready, untilStopped: lifeline.end)
    }
}

/// `berth gateway`: becomes the system user `berth` before it listens.
struct GatewayProcess: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "gateway", shouldDisplay: false)
    @OptionGroup var settings: UpSettings

    /// Bound by root in ``prepare(_:)``.
    nonisolated(unsafe) private static var controlSocket: Int32 = -1

    /// The first acts of the process, with one thread and as root: its own part of the state at a short path in a mount
    /// namespace of its own, the control socket, and then no privilege any more.
    static func prepare(_ arguments: [String]) throws {
        let settings = try UpSettings.parse(arguments)
        let installation = try settings.state.installation()
        clinux_set_name("berth-gateway")
        guard let user = getpwnam("berth") else { throw Failure("the system user berth is missing", hint: "berth up says how to make it") }
        let (uid, gid) = (user.pointee.pw_uid, user.pointee.pw_gid)
        try check(clinux_unshare_mounts(), "unshare")
        try check(clinux_mount("none", "/", nil, clinux_ms_private_rec(), nil), "make mounts private")
        try check(
            clinux_mount(installation.gatewayState, installation.gatewayMount, nil, clinux_ms_bind(), nil), "bind \(installation.gatewayState)")
        controlSocket = try UnixListener.open(path: installation.controlSocket, mode: 0o600, backlog: 64)
        try check(clinux_become(uid, gid), "become the user berth")
        try check(clinux_set_no_new_privs(), "no new privileges")
        // Root's processes must not be able to be read through a core file, nor this one's keys by its own uid.
        try check(clinux_set_dumpable(0), "undumpable")
    }

    func run() async throws {
        let installation = try settings.state.installation()
        let configuration = try settings.gatewayConfiguration(installation, controlSocket: Self.controlSocket)
        // Only from then on: while it starts, TERM ends it at once.
        do {
            try await GatewayService.run(configuration, ready: ProcessLog.ready, untilStopped: { _ = try? await Lifeline().end() })
        } catch {
            // Nobody else sees its part of the state where it does.
            var failure = Failure(of: error)
            failure.message = failure.message.replacing(installation.gatewayMount, with: installation.gatewayState)
            failure.hint = failure.hint?.replacing(installation.gatewayMount, with: installation.gatewayState)
            throw failure
        }
    }

    private static func check(_ result: Int32, _ what: String) throws {
        guard result >= 0 else { throw Failure("the gateway cannot \(what): \(String(cString: strerror(-result)))") }
    }
}
