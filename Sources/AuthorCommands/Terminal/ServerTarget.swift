import ArgumentParser
import Glibc
import JSONText
import MCP
import RemoteClient

/// Which server a command talks to, and with what.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("File with the bearer token of a URL (else the environment variable BERTH_TOKEN).", valueName: "file"))
    var tokenFile: String?
    @OptionGroup var local: LocalServerOptions
    @Option(help: "Protocol era to speak with the server behind --: auto asks it; legacy for one of both whose tools ask while they run.")
    var era: Back.EraChoice?
    @Option(help: ArgumentHelp("Answers to the server's questions, a JSON object; without it they are asked on the terminal.", valueName: "json"))
    var answers: String?
    @Option(
        help: ArgumentHelp(
            "How long a request may take: 30s, 5m, or seconds (0: no limit); without it the server may be silent for \(TimeLimit.usual) s.",
            valueName: "time"))
    var timeout: String?
    @Flag(help: "Show what the server behind -- writes to its standard error.") var verbose = false
    @Argument(parsing: .postTerminator, help: "Instead of a URL: a STDIO server's command, behind --.") var command: [String] = []

    /// - Throws: what cannot take effect at that server: it would be missed in silence.
    func check(for place: ServerTarget.Place) throws {
        switch place {
        case .url:
            guard let option = local.given.first ?? era.map({ _ in "--era" }) else { return }
            throw Failure(
                "\(option) is for a server that is started here, and a URL is given", hint: "leave it out, or give a command behind --", code: 64)
        case .command:
            guard tokenFile != nil else { return }
            throw Failure(
                "--token-file is for a URL, and a server's command is given", hint: "leave it out: what is started here takes none", code: 64)
        }
    }

    /// What `--token-file` or the environment says; an empty variable says nothing.
    static func token(_ file: String?) throws -> String? {
        guard let file else {
            guard let text = getenv("BERTH_TOKEN").map({ String(cString: $0).trimmed }), !text.isEmpty else { return nil }
            return try checked(text, from: "BERTH_TOKEN")
        }
        guard let bytes = readFile(file) else {
            throw Failure("--token-file \(file) cannot be read", hint: "give a file with the token: " + Remedy.token, code: 64)
        }
        var info = stat()
        // A bridge refuses one that is to let others in; this one is somebody's own, and may be on a disk that knows no modes.
        if stat(file, &info) == 0, info.st_mode & 0o077 != 0 {
            Output.note("warning: --token-file \(file) is readable by others: chmod 600 \(file)")
        }
        return try checked(String(decoding: bytes, as: UTF8.self).trimmed, from: "--token-file \(file)")
    }

    /// Fit for a header.
    private static func checked(_ token: String, from place: String) throws -> String {
        guard !token.contains(" ") else {
            throw Failure("\(place) holds more than a token", hint: "the token alone: lines of NAME TOKEN are for \(Program.name) bridge --token-file", code: 64)
        }
        guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Failure("\(place) holds no token", hint: Remedy.token, code: 64)
        }
        return token
    }
}

/// `--output`, where a result has contents.
struct OutputOption: ParsableArguments {
    @Option(help: ArgumentHelp("Save what is binary, or the whole text, in a file; - is standard output.", valueName: "file"))
    var output: String?
}

/// A server to talk to, and the words of the command line that are not its address.
struct ServerTarget {
    enum Place {
        case url(RemoteAddress)
        case command([String])
    }

    var place: Place
    var words: [String]

    /// - Parameters:
    ///   - words: the command line's own, in order: the first is the URL, unless there is a command behind `--`.
    ///   - command: the server's, behind `--`; nil where there can be none.
    ///   - names: what the others are called, for the message about one that is missing.
    init(_ words: [String?], command: [String]?, names: [String], optional: Int = 0) throws {
        var given = words.compactMap(\.self)
        if let command, !command.isEmpty {
            if let first = given.first, Self.isURL(first) {
                throw Failure("both a URL and a server's command are given", hint: "give one of them", code: 64)
            }
            place = .command(command)
        } else {
            guard let url = given.first else {
                throw Failure(
                    "neither a URL nor a server's command is given", hint: "for example \(CommandPath.current) http://127.0.0.1:8787/v/office/mcp"
                        + names.map { " \($0)" }.joined() + ", or … -- python3 server.py", code: 64)
            }
            guard Self.isURL(url) else {
                throw Failure(
                    "'\(TypedURL.shown(url))' is not http://HOST:PORT/… or https://HOST/…", hint: Self.remedy(given, takesCommand: command != nil),
                    code: 64)
            }
            guard let address = RemoteAddress(url) else { throw TypedURL.failure(url) }
            place = .url(address)
            given.removeFirst()
        }
        let needed = names.count - optional
        guard given.count >= needed else {
            throw Failure("\(names[given.count]) is missing", hint: "\(CommandPath.current) --help shows how", code: 64)
        }
        guard given.count <= names.count else {
            throw Failure("unexpected argument '\(given[names.count])'", hint: "\(CommandPath.current) --help shows how", code: 64)
        }
        self.words = given
    }

    /// What may have been meant by words of which the first is no URL.
    private static func remedy(_ words: [String], takesCommand: Bool) -> String {
        if let url = words.dropFirst().first(where: isURL) { return "the URL comes first: \(CommandPath.current) \(url) …" }
        if words[0].contains("://") { return "MCP is spoken over http and https" }
        if let url = TypedURL.withSlashes(words[0]) { return "write \(url)" }
        if takesCommand, CommandLine.arguments.contains("--") { return "no command stands behind --" }
        if takesCommand, let example = ForgottenTerminator.example(CommandPath.current, words) { return example }
        if words[0].contains(":") || words[0].contains("/") { return "write http://\(TypedURL.shown(words[0]))" }
        return takesCommand ? "a server's command stands behind --" : "the whole URL, for example http://127.0.0.1:8787/v/office/mcp"
    }

    static func isURL(_ text: String) -> Bool { ["http://", "https://"].contains { text.lowercased().hasPrefix($0) } }

    func word(_ index: Int) -> String? { words.indices.contains(index) ? words[index] : nil }

    /// A word that must be a JSON object; an empty one where it is missing.
    func object(_ index: Int) throws -> JSONObject {
        guard let text = word(index) else { return JSONObject() }
        return try TypedJSON.object(text, what: "the arguments are", example: "'{\"timezone\":\"UTC\"}'")
    }

    /// How failures call it.
    var name: String {
        switch place {
        case .url(let address): address.url
        case .command(let command): command[0]
        }
    }
}
