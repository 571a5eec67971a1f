import ArgumentParser
import AuthorCommands
import MCP

/// One static file for authors of servers, and for clients of any URL: it needs no Berth, no root and nothing installed.
@main
struct Main {
    static func main() { Program.run(BerthBridge.self) }
}

/// `berth-bridge`
struct BerthBridge: RootCommand {
    static let configuration = CommandConfiguration(
        commandName: "berth-bridge",
        abstract: "Serves STDIO MCP servers as Streamable HTTP, and talks to MCP servers from a terminal.",
        usage: "berth-bridge [options of bridge] -- COMMAND …\nberth-bridge SUBCOMMAND …",
        discussion: """
            Without a subcommand it is bridge: berth-bridge -- python3 server.py. These are the commands of the same names of berth, which \
            also hosts servers in isolated machines behind one governed gateway.
            Every command that prints for people takes --json; what goes wrong is then {"event": "failed", "message": …, "hint": …} too.
            """,
        version: BerthVersion.current, subcommands: AuthorCommands.all, defaultSubcommand: AuthorCommands.bridge)
}
