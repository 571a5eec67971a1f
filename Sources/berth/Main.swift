import ArgumentParser
import AuthorCommands
import MCP
import Orchestrator

/// One binary, several processes: the commands of the operator, and the supervisor, orchestrator and gateway behind `berth up`.
@main
struct Main {
    /// The orchestrator, the gateway and what reads parts of a state change their mount namespace first, which must happen while the process has a single thread.
    static func main() {
        Program.run(Berth.self) {
            switch CommandLine.arguments.dropFirst().first {
            case "orchestrator", "gateway": OpenFiles.raise()
            default: break
            }
            switch CommandLine.arguments.dropFirst().first {
            case "orchestrator": try OCIRuntime.prepareProcess()
            case "gateway": try GatewayProcess.prepare(Array(CommandLine.arguments.dropFirst(2)))
            case "state-part": try StatePart.prepare(Array(CommandLine.arguments.dropFirst(2)))
            default: break
            }
        }
    }
}

/// `berth`
struct Berth: RootCommand {
    static let configuration = CommandConfiguration(
        commandName: "berth",
        abstract: "Hosts third-party MCP servers as isolated machines behind one governed gateway.",
        discussion: """
            The state directory is --state DIR, else $BERTH_STATE, else /var/lib/berth. Commands that run or administer a Berth need root; \
            those that talk to a server (call … inspect, bridge, test, connect, install) and doctor do not.
            Every command that prints for people takes --json; what goes wrong is then {"event": "failed", "message": …, "hint": …} too.
            """,
        version: BerthVersion.current,
        subcommands: [
            Up.self, Down.self, Status.self, Tour.self, ConnectorCommand.self, ImportCommand.self, VMCPCommand.self, TokenCommand.self,
            AuditCommand.self, MachinesCommand.self, ImageCommand.self, Logs.self, Backup.self, Restore.self,
        ] + AuthorCommands.all(test: TestCommand.self) + [Doctor.self, Supervise.self, OrchestratorProcess.self, GatewayProcess.self, StatePart.self])

    static let serverCommands =
        ["connector add", "connector update"].map { ServerCommand($0, words: 1, flags: ["--reset", "--no-args", "--no-constraints"]) }
        + [ServerCommand("image test")]
    static let administersBerth = true

    static var lastHint: String { "berth status, and berth.log in the state directory, tell more" }

    /// A process that was started by the supervisor says why it ends on its standard output, a pipe to it.
    static func willEnd(_ line: String) {
        let role = CommandLine.arguments.dropFirst().first
        if role == "orchestrator" || role == "gateway" { Output.line(line) }
    }
}
