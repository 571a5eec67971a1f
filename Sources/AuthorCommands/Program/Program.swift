import ArgumentParser
import Dispatch
import Glibc
import Synchronization

/// The command of an executable, under which its others are.
package protocol RootCommand: ParsableCommand {
    /// The remedy for what nobody foresaw.
    static var lastHint: String { get }
    /// Its own commands that take a server's command, besides the authors'.
    static var serverCommands: [ServerCommand] { get }
    /// It has the commands that run and administer a Berth, and remedies may name them.
    static var administersBerth: Bool { get }
    /// Hears in one line what ends the process, before it is printed.
    static func willEnd(_ line: String)
}

extension RootCommand {
    package static var lastHint: String { "\(CommandPath.current) --help shows how" }
    package static var serverCommands: [ServerCommand] { [] }
    package static var administersBerth: Bool { false }
    package static func willEnd(_ line: String) {}
}

/// The executable that the commands are in.
package enum Program {
    /// Said once, before anything asks.
    private static let started = Mutex<(any RootCommand.Type)?>(nil)

    static var root: any RootCommand.Type { started.withLock { $0 } ?? Nameless.self }

    /// What people type, and what its lines on standard error begin with.
    package static var name: String { root._commandName }

    /// Runs the command that the command line names. Synchronous on purpose: `prepare` comes before there is a second thread.
    ///
    /// - Parameter prepare: what the process must have done first.
    package static func run(_ root: any RootCommand.Type, prepare: () throws -> Void = {}) {
        started.withLock { $0 = root }
        signal(SIGPIPE, SIG_IGN)
        // Whoever started us may have blocked signals, and a mask is inherited: TERM and INT must reach us.
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        do {
            try prepare()
            let command = try parsed()
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

    /// The command line, with the nearest name suggested for a command that does not exist.
    private static func parsed() throws -> any ParsableCommand {
        let arguments = Array(CommandLine.arguments.dropFirst())
        try suggest(for: arguments, under: root, path: name)
        return try root.parseAsRoot(arguments)
    }

    private static func suggest(for arguments: [String], under command: any ParsableCommand.Type, path: String) throws {
        let subcommands = command.configuration.subcommands
        guard !subcommands.isEmpty, let word = arguments.first, !word.hasPrefix("-"), word != "help" else { return }
        if let next = subcommands.first(where: { $0._commandName == word }) {
            return try suggest(for: Array(arguments.dropFirst()), under: next, path: "\(path) \(word)")
        }
        let names = subcommands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
        let elsewhere =
            command.configuration.defaultSubcommand == nil ? "\(path) --help lists them" : ForgottenTerminator.example(path)
        throw Failure("'\(path) \(word)' is no command", hint: Suggestion.text(for: word, among: names) ?? elsewhere, code: 64)
    }

    /// Before there is a root.
    private struct Nameless: RootCommand {}
}

/// The command that the command line names, as `berth connector add`.
package enum CommandPath {
    /// With the program's name.
    package static var current: String {
        ([Program.name] + words(of: Array(CommandLine.arguments.dropFirst()), under: Program.root)).joined(separator: " ")
    }

    /// Without the program's name.
    static func words(of arguments: [String], under root: any ParsableCommand.Type) -> [String] {
        var words: [String] = []
        var command = root
        for word in arguments {
            guard let next = command.configuration.subcommands.first(where: { $0._commandName == word }) else { break }
            words.append(word)
            command = next
        }
        return words
    }
}
