import ArgumentParser

/// The commands that need no Berth on this host: what the author of a server tests it with, and clients of any URL.
package enum AuthorCommands {
    /// As a help page lists them.
    package static let all = all(test: TestServer.self)

    /// The same, with another `test`.
    package static func all(test: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        [
            Call.self, Tools.self, Prompts.self, Resources.self, Read.self, PromptCommand.self, Complete.self, Inspect.self,
            Bridge.self, test, Connect.self, Install.self,
        ]
    }

    /// Those of them that take a server's command behind `--` and nothing else.
    static let serverCommands = [
        ServerCommand("bridge", flags: ["--watch", "--log-json", "--trace", "--trace-bodies", "--exit-on-crash"]),
        ServerCommand("test", flags: ["--strict", "--write-baseline", "--machine"]),
    ]

    /// Those that take one, or a URL in its place, and no word besides.
    static let listCommands = ["tools", "prompts", "resources", "inspect"].map { ServerCommand($0, flags: ["--verbose"]) }

    /// What an executable of these alone does when its command line names none of them.
    package static let bridge: any ParsableCommand.Type = Bridge.self
}
