import ArgumentParser
import Dispatch
import Glibc
import MCP
import Orchestrator

/// One binary, several processes: the commands of the operator, and the supervisor, orchestrator and gateway behind `berth up`.
@main
struct Main {
    /// Synchronous on purpose: the orchestrator and the gateway change their mount namespace first, which must happen
    /// while the process has a single thread.
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        // Whoever started us may have blocked signals, and a mask is inherited: TERM and INT must reach us.
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        do {
            switch CommandLine.arguments.dropFirst().first {
            case "orchestrator": try OCIRuntime.prepareProcess()
            case "gateway": try GatewayProcess.prepare(Array(CommandLine.arguments.dropFirst(2)))
            default: break
            }
            let command = try Berth.parsed()
            if var asynchronous = command as? any AsyncParsableCommand {
                Task.detached {
                    do {
                        try await asynchronous.run()
                        exit(0)
                    } catch {
                        Output.end(with: error)
                    }
                }
                dispatchMain()
            } else {
                var synchronous = command
                try synchronous.run()
            }
        } catch {
            Output.end(with: error)
        }
    }
}

/// `berth`
struct Berth: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "berth",
        abstract: "Hosts third-party MCP servers as isolated machines behind one governed gateway.",
        discussion: """
            The state directory is --state DIR, else $BERTH_STATE, else /var/lib/berth. Commands that run or
            administer a Berth need root; those that talk to a server (call … inspect, bridge, test, connect, install) and doctor do not.
            Every command that prints for people takes --json; what goes wrong is then {"event": "failed", "message": …, "hint": …} too.
            """,
        version: BerthVersion.current,
        subcommands: [
            Up.self, Down.self, Status.self, Tour.self, ConnectorCommand.self, VMCPCommand.self, TokenCommand.self, AuditCommand.self,
            MachinesCommand.self, Logs.self, Call.self, Tools.self, Prompts.self, Resources.self, Read.self, PromptCommand.self, Complete.self,
            Inspect.self, Bridge.self, TestServer.self, Connect.self, Install.self, Doctor.self, Supervise.self, OrchestratorProcess.self,
            GatewayProcess.self,
        ])

    /// The command line, with the nearest name suggested for a command that does not exist.
    static func parsed() throws -> any ParsableCommand {
        let arguments = Array(CommandLine.arguments.dropFirst())
        try suggest(for: arguments, under: Berth.self, path: "berth")
        return try Berth.parseAsRoot(arguments)
    }

    private static func suggest(for arguments: [String], under command: any ParsableCommand.Type, path: String) throws {
        let subcommands = command.configuration.subcommands
        guard !subcommands.isEmpty, let word = arguments.first, !word.hasPrefix("-"), word != "help" else { return }
        if let next = subcommands.first(where: { $0._commandName == word }) {
            return try suggest(for: Array(arguments.dropFirst()), under: next, path: "\(path) \(word)")
        }
        let names = subcommands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
        throw Failure("'\(path) \(word)' is no command", hint: Suggestion.text(for: word, among: names) ?? "\(path) --help lists them", code: 64)
    }
}
