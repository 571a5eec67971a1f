import ArgumentParser
import AuthorCommands
import FoundationEssentials
import Glibc
import JSONText
import Orchestrator

/// `berth doctor`
struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Which isolation layers this host gives; --prove attacks a live machine; --leftovers looks for what nobody owns.")
    @Flag(help: "Host an attacking server and show that each attack is refused.") var prove = false
    @Flag(help: "Print the attacking server's source, to read it or to run it elsewhere.") var attackSource = false
    @Flag(
        help: """
            Look for processes, cgroups, mounts, namespaces, sockets, bundles and half-made images of this state that nothing owns; \
            exit 1 if any.
            """) var leftovers = false
    @Option(
        help: ArgumentHelp(
            "Boot a machine with this OCI runtime; one that works may be a connector's (--runtime) from then on.", valueName: "path"))
    var runtime: String?
    @OptionGroup var state: StateOption
    @OptionGroup var output: JSONOption

    func run() async throws {
        if attackSource { return Output.line(AttackServer.source) }
        let installation = try state.installation()
        if leftovers && prove { throw Failure("--prove and --leftovers exclude each other", hint: "run one after the other", code: 64) }
        if let runtime { return try await show(trialOf: runtime, installation) }
        if leftovers { return try await showLeftovers(installation) }
        if prove { return try await showProof(installation) }
        let host = await HostCapabilities.probe()
        if output.json {
            Output.json(
                .record(
                    (
                        "layers",
                        .array(
                            host.layers.map {
                                .record(
                                    ("name", .string($0.name)), ("state", .string($0.state.rawValue)), ("detail", .string($0.detail)),
                                    ("remedy", $0.remedy.isEmpty ? nil : .string($0.remedy)))
                            })
                    )))
        } else {
            Output.table(
                ["LAYER", "STATE", "DETAIL"],
                host.layers.map { [$0.name, $0.state.rawValue, $0.remedy.isEmpty ? $0.detail : "\($0.detail) — \($0.remedy)"] })
        }
        // What is merely good to have stops no machine.
        if !host.blocking.isEmpty { throw ExitCode(1) }
    }

    private func show(trialOf runtime: String, _ installation: Installation) async throws {
        try Rights.needRoot("a machine is made, and the runtime is noted for this state")
        // Where there is no state yet the trial is all that there is.
        let isThere = access(installation.orchestratorState, F_OK) == 0
        do {
            let milliseconds = try await RuntimeTrial.run(
                runtime: runtime, agentPath: UpSettings.agentPath(), state: isThere ? installation.orchestratorState : nil)
            if output.json {
                return Output.json(
                    .record(("runtime", .string(runtime)), ("usable", .bool(true)), ("boot_ms", .int(milliseconds)), ("noted", .bool(isThere))))
            }
            Output.line("\(runtime) is usable: it booted a machine, its agent answered, and nothing was left, in \(milliseconds) ms")
            if !isThere { Output.note("there is no state \(installation.state) in which it could be noted: run this again after berth up") }
        } catch {
            throw Failure("\(runtime) is not usable here: \(error)", hint: "connectors keep the host's own runtime")
        }
    }

    private func showProof(_ installation: Installation) async throws {
        let findings = try await Proof(installation).run { finding in
            guard !output.json else { return }
            Output.line("\(finding.refused ? "refused " : "POSSIBLE")  \(finding.title)\n          \(finding.detail)")
        }
        let possible = findings.filter { !$0.refused }
        if output.json {
            Output.json(
                .record(
                    ("refused", .int(findings.count - possible.count)), ("possible", .int(possible.count)),
                    (
                        "attacks",
                        .array(
                            findings.map {
                                .record(
                                    ("attack", .string($0.attack)), ("refused", .bool($0.refused)), ("detail", .string($0.detail)))
                            })
                    )))
        } else {
            Output.line("\n\(findings.count - possible.count) of \(findings.count) attacks refused")
        }
        if !possible.isEmpty { throw ExitCode(1) }
    }

    private func showLeftovers(_ installation: Installation) async throws {
        try Rights.needRoot("nobody else sees every process, mount and namespace")
        let items = try await OrchestratorService.leftovers(
            stateDirectory: installation.orchestratorState, runDirectory: installation.runDirectory, cgroupPrefix: installation.cgroupPrefix)
        // What a state left is found without it; but nothing found where nothing is may be a path that was mistyped.
        if items.isEmpty, access(installation.state, F_OK) != 0 {
            throw Failure("no state directory \(installation.state)", hint: "give --state the directory that berth up was given")
        }
        if output.json {
            Output.json(
                .record(
                    (
                        "leftovers",
                        .array(items.map { .record(("kind", .string($0.kind.rawValue)), ("name", .string($0.name)), ("boot", .string($0.boot))) })
                    )))
        } else if items.isEmpty {
            Output.line("nothing left over")
        } else {
            Output.table(["KIND", "BOOT", "NAME"], items.map { [$0.kind.rawValue, $0.boot, $0.name] })
        }
        if !items.isEmpty { throw ExitCode(1) }
    }
}
