import ArgumentParser
import Glibc
import JSONText
import RemoteClient

/// `berth install`
struct Install: ParsableCommand {
    enum Client: String, CaseIterable, ExpressibleByArgument {
        case claudeCode = "claude-code"
        case cursor
        case vscode

        /// The member of the file that holds the servers.
        var section: String { self == .vscode ? "servers" : "mcpServers" }

        /// Whether it reads its file as JSON with comments and trailing commas. A file that the client cannot read is not edited.
        var readsComments: Bool { self != .claudeCode }

        func file(user: Bool, home: String, here: String) throws -> String {
            switch (self, user) {
            case (.claudeCode, false): return here + "/.mcp.json"
            case (.claudeCode, true): return home + "/.claude.json"
            case (.cursor, false): return here + "/.cursor/mcp.json"
            case (.cursor, true): return home + "/.cursor/mcp.json"
            case (.vscode, false): return here + "/.vscode/mcp.json"
            case (.vscode, true):
                throw Failure("where VS Code keeps a user's servers depends on its profile", hint: "leave --user out: .vscode/mcp.json", code: 64)
            }
        }

        func entry(_ command: String, _ arguments: [String]) -> JSONValue {
            .record(
                ("type", self == .cursor ? nil : "stdio"), ("command", .string(command)), ("args", .array(arguments.map(JSONValue.string))))
        }
    }

    static let configuration = CommandConfiguration(
        abstract: "Put an MCP URL into the configuration of Claude Code, Cursor or VS Code.",
        discussion: """
            The difference is shown before anything is written, and the old file is kept beside the new one. The client is told to run \
            \(Program.name) connect, which reads the token from its file: no token stands in the configuration. Files: .mcp.json (claude-code; with \
            --user ~/.claude.json), .cursor/mcp.json (cursor; with --user in the home), .vscode/mcp.json (vscode).
            """)
    @Argument(help: "claude-code, cursor or vscode.") var client: Client
    @Argument(help: "What the client calls the server.") var name: String
    @Argument(help: "MCP URL.") var url: String
    @Option(help: ArgumentHelp("File with the bearer token, which \(Program.name) connect reads.", valueName: "file")) var tokenFile: String?
    @Flag(help: "For all projects of this user, and not for the folder this is run in.") var user = false
    @Flag(help: "Write without asking.") var yes = false
    @OptionGroup var output: JSONOption

    func run() throws {
        let isName = !name.isEmpty && name.utf8.count <= 64 && name.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D || byte == 0x5F
        }
        guard isName else { throw Failure("'\(name)' is no name for a server", hint: "letters, digits, - and _, at most 64", code: 64) }
        if case .url(let address) = try ServerTarget([url], command: nil, names: []).place { warn(of: address) }
        let file = try ConfigFile(client.file(user: user, home: Self.variable("HOME"), here: Self.here()))
        let entry = client.entry(try Self.ownPath(), try arguments())
        let after = try file.setting(name, to: entry, in: client.section, mayHaveComments: client.readsComments)
        guard after != file.before else { return tell(file.path, nil, changed: false) }
        if !output.json {
            Output.line(file.exists ? file.path : "\(file.path) (new)")
            for line in ConfigFile.difference(file.before, after) { Output.line(line) }
        }
        try confirm(file.path)
        let backup = try file.write(after)
        tell(file.path, backup, changed: true)
    }

    /// What can be known of a URL without asking there: its server may not run yet.
    private func warn(of address: RemoteAddress) {
        if let meant = address.likelyMeant { Output.note("warning: MCP is mostly served elsewhere: did you mean \(meant)?") }
        if tokenFile == nil, let token = getenv("BERTH_TOKEN"), token.pointee != 0 {
            Output.note("warning: BERTH_TOKEN is set here and will not be where the client starts: --token-file FILE")
        }
    }

    private func arguments() throws -> [String] {
        guard let tokenFile else { return ["connect", url] }
        _ = try ServerOptions.token(tokenFile)
        guard let path = realpath(tokenFile, nil) else { throw Failure("--token-file \(tokenFile) cannot be found", hint: "give its path", code: 64) }
        defer { free(path) }
        return ["connect", url, "--token-file", String(cString: path)]
    }

    private func confirm(_ path: String) throws {
        if yes { return }
        guard isatty(0) == 1 else {
            throw Failure("nothing is written without a yes, and standard input is no terminal", hint: "--yes writes without asking", code: 64)
        }
        Output.prompt("Write \(path)? [y/N] ")
        guard ["y", "yes"].contains(readLine(strippingNewline: true)?.trimmed.lowercased() ?? "") else {
            throw Failure("nothing was written", hint: "answer y, or give --yes")
        }
    }

    private func tell(_ path: String, _ backup: String?, changed: Bool) {
        guard !output.json else {
            return Output.json(
                .record(("event", "installed"), ("file", .string(path)), ("changed", .bool(changed)), ("backup", backup.map { .string($0) })))
        }
        guard changed else { return Output.line("\(path) has it already") }
        Output.line("\(client.rawValue) starts \(name) by \(Program.name) connect" + (backup.map { "; the file as it was: \($0)" } ?? ""))
    }

    private static func ownPath() throws -> String {
        guard let path = realpath("/proc/self/exe", nil) else { throw Failure("this program's own path cannot be read", hint: "is /proc mounted?") }
        defer { free(path) }
        return String(cString: path)
    }

    private static func here() throws -> String {
        guard let path = realpath(".", nil) else { throw Failure("this folder is gone", hint: "change to another one") }
        defer { free(path) }
        return String(cString: path)
    }

    private static func variable(_ name: String) throws -> String {
        guard let value = getenv(name).map({ String(cString: $0) }), value.hasPrefix("/") else {
            throw Failure("$\(name) is no path", hint: "set it, or leave --user out")
        }
        return value
    }
}
