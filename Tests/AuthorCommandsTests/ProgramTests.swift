import ArgumentParser
import Testing

@testable import AuthorCommands

/// How commands speak to people.
@Suite struct ProgramTests {
    /// A program with commands of its own besides the authors'.
    private struct Hosting: RootCommand {
        struct Connector: ParsableCommand {
            struct Add: ParsableCommand {}
            static let configuration = CommandConfiguration(subcommands: [Add.self])
        }

        static let configuration = CommandConfiguration(commandName: "hosting", subcommands: AuthorCommands.all + [Connector.self])
        static let serverCommands = [ServerCommand("connector add", words: 1, flags: ["--reset"])]
    }

    /// One of the authors' alone.
    private struct Alone: RootCommand {
        static let configuration = CommandConfiguration(
            commandName: "alone", subcommands: AuthorCommands.all, defaultSubcommand: AuthorCommands.bridge)
    }

    @Test(arguments: [
        ("it broke", nil, "it broke"), ("It broke.", "mend it", "It broke — mend it"), ("wait …..", nil, "wait ….."),
        ("two\nlines\n", "x\ny", "two lines — x y"), ("\u{1B}[2Jred", nil, "\u{FFFD}[2Jred"),
    ] as [(String, String?, String)])
    func aFailureIsOneLine(_ message: String, _ hint: String?, _ line: String) {
        #expect(Failure(message, hint: hint).line == line)
    }

    @Test(arguments: [
        ("Missing expected argument", "missing expected argument"), ("API_KEY is given twice", "API_KEY is given twice"),
        ("K is given twice", "K is given twice"), ("A word", "a word"), ("", ""), ("größe", "größe"),
    ])
    func aSentenceBecomesAClause(_ sentence: String, _ clause: String) { #expect(Sentence.asClause(sentence) == clause) }

    private static let bridge = "put the server's command after --: hosting bridge -- python3 server.py"
    private static let tools = "put the server's command after --: hosting tools -- python3 server.py"
    private static let add = "put the server's command after --: hosting connector add NAME … -- python3 server.py"

    @Test(arguments: [
        ("Unexpected argument 'server.py'", "bridge server.py", bridge), ("Unexpected argument 'x'", "bridge -- x", nil),
        ("2 unexpected arguments: 'python3', 's.py'", "connector add clock python3 s.py", add),
        ("Unknown option '--fast'", "bridge --watch python3 s.py --fast", bridge), ("Unknown option '--fast'", "bridge --port 8000 --fast", nil),
        ("Unknown option '-u'", "bridge python3 -u s.py", bridge),
        ("Unknown option '-m'", "connector add clock --reset python3 -m clock", add), ("Unknown option '-m'", "connector add clock -m", nil),
        ("Unknown option '-m'", "connector add --env A=1 clock -m", nil), ("Unexpected argument 'x'", "connect u x", nil),
        ("Unexpected argument 'x'", "call u t {} x", "a tool's arguments are one JSON object: '{\"timezone\": \"UTC\"}'"),
        ("Missing value", "bridge python3", nil), ("Unexpected argument 's.py'", "tools python3 s.py", tools),
        ("Unknown option '-m'", "tools --verbose python3 -m clock", tools), ("Unknown option '-m'", "tools --env A=1 -m", nil),
        ("Unexpected argument 'x'", "tools http://h/mcp x", nil),
    ] as [(String, String, String?)])
    func aForgottenTerminatorIsSeen(_ message: String, _ typed: String, _ hint: String?) {
        #expect(ForgottenTerminator.hint(message, typed.split(separator: " ").map(String.init), under: Hosting.self) == hint)
    }

    @Test(arguments: [
        (["/bin/sh"], "put the server's command after --: p tools -- /bin/sh"),
        (["/bin/sh", "t"], "put the server's command after --: p tools … -- /bin/sh"),
        (["python3 s.py"], "put the server's command without quotes after --: p tools -- python3 s.py"),
        (["/bin"], nil), (["h:1/mcp"], nil), ([], nil),
    ] as [([String], String?)])
    func aProgramIsNoURL(_ words: [String], _ hint: String?) { #expect(ForgottenTerminator.example("p tools", words) == hint) }

    @Test func whatTheProgramLacksIsNotKnown() {
        let typed = ["connector", "add", "clock", "python3"]
        #expect(ForgottenTerminator.hint("Unexpected argument 'python3'", typed, under: Alone.self)?.contains("connector add") != true)
        // The command that is meant where none is named.
        #expect(
            ForgottenTerminator.hint("Unexpected argument 'python3'", ["python3"], under: Alone.self)
                == "put the server's command after --: alone -- python3 server.py")
    }

    /// No program runs here, so none that administers a Berth.
    @Test func remediesNameNoCommandThatIsNotThere() {
        for remedy in [Remedy.url, Remedy.urls, Remedy.missing, Remedy.tokens, Remedy.token, Remedy.logs] {
            #expect(!remedy.contains("berth"), "\(remedy)")
        }
    }

    @Test(arguments: [
        ("127.0.0.1", 8787, "127.0.0.1:8787", true), ("10.0.0.1", 8787, "127.0.0.1:8787", false), ("127.0.0.1", 787, "127.0.0.1:8787", false),
        ("0.0.0.0", 8787, "127.0.0.1:8787", true), ("127.0.0.1", 8787, "0.0.0.0:8787", true), ("localhost", 8787, "127.0.0.1:8787", true),
        ("::1", 8787, "[::1]:8787", true), ("::1", 8787, "[::2]:8787", false), ("::1", 8787, "[::]:8787", true),
        ("127.0.0.1", 0, "127.0.0.1:0", false),
        ("127.0.0.1", 8787, "", false),
    ])
    func anAddressIsTaken(_ host: String, _ port: Int, _ listen: String, _ isTaken: Bool) {
        #expect(PortCheck.isTaken(host: host, port: port, by: listen) == isTaken)
    }

    /// Also where any port will do; the address is one of documents alone.
    @Test func whereNobodyCanListenIsToldBeforeAnythingStarts() throws {
        for port in [0, 18_787] {
            let failure = #expect(throws: Failure.self) { try PortCheck.freeForBridge(host: "192.0.2.1", port) }
            #expect(failure?.message == "192.0.2.1 is no address of this host")
        }
        try PortCheck.freeForBridge(host: "127.0.0.1", 0)
    }
}
