import ArgumentParser
import Glibc
import JSONText
import StdioBridge
import Synchronization

/// `berth bridge`
struct Bridge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a STDIO server as Streamable HTTP on this host, for its author to test.",
        discussion: "One child per session; both protocol eras; loopback only. Ends with INT or TERM and leaves no child.")
    @Option(help: ArgumentHelp("Port on 127.0.0.1 (0: any).", valueName: "port")) var port = 0
    @Option(parsing: .singleValue, help: ArgumentHelp("Environment of the server (repeatable).", valueName: "k=v")) var env: [String] = []
    @OptionGroup var output: JSONOption
    @Argument(parsing: .postTerminator, help: "The server's command.") var command: [String] = []

    func run() throws {
        guard !command.isEmpty else { throw Failure("no command given", hint: "berth bridge --port 8000 -- python3 server.py", code: 64) }
        guard (0...65_535).contains(port) else { throw Failure("--port \(port) is out of range", hint: "0 to 65535", code: 64) }
        if port > 0 { try PortCheck.freeForBridge(port) }
        let variables = try Variables.plain(env, remedy: "a command line is readable by everybody on this host")
        let path = variables["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        try Self.check(program: command[0], path: path)
        let (isJSON, program) = (output.json, command[0])
        let start = Mutex(Start())
        let environment = variables.merging(["PATH": path]) { given, _ in given }.map { "\($0.key)=\($0.value)" }
        let configuration = StandaloneConfiguration(command: command, environment: environment, port: port)
        let status = StandaloneBridge.run(configuration) { line in
            if start.withLock({ $0.takes(line) }) { return }
            StandaloneBridge.write(line: line, to: 2)
        } announce: { ready in
            start.withLock { $0.isOver = true }
            guard isJSON else { return Output.line("\(ready.url) serves \(Count.text(ready.tools, "tool")) of \(program)") }
            Output.json(
                .record(
                    ("event", "ready"), ("url", .string(ready.url)), ("pid", .int(Int(getpid()))), ("port", .int(ready.port)),
                    ("tools", .int(ready.tools))))
        }
        if let reason = start.withLock({ $0.refusal }) { throw Self.failure(reason, code: status) }
        guard status == 0 else { throw ExitCode(status) }
    }

    /// What the bridge says before it serves, which becomes this command's one line.
    private struct Start {
        var isOver = false
        var refusal: String?

        mutating func takes(_ line: String) -> Bool {
            // The same reason, as it is told of every child.
            if !isOver, line.hasPrefix("server not started: ") { return true }
            let mark = "not started: "
            guard line.hasPrefix(mark) else { return false }
            refusal = String(line.dropFirst(mark.count))
            return true
        }
    }

    /// - Parameter reason: One line, and under it what the server wrote to its standard error, which has been shown as it came.
    private static func failure(_ reason: String, code: Int32) -> Failure {
        let lines = reason.split(separator: "\n", maxSplits: 1).map(String.init)
        let message = lines.first ?? "no reason given"
        let hint =
            if lines.count == 2 {
                "its standard error is above"
            } else if message.contains(": spawn ") {
                "its first line (#!) must name a program of this host, or name it yourself: -- python3 FILE"
            } else {
                "is it an MCP server on standard input and output?"
            }
        return Failure("the bridge did not start: \(message)", hint: hint, code: code)
    }

    /// What can be known of the program before anything is started.
    static func check(program: String, path: String) throws {
        guard program.contains("/") else {
            guard ExecutablePath.find(program, path: path) == nil else { return }
            throw Failure("no program \(program) in \(path)", hint: "give its whole path, for example $(command -v \(program))")
        }
        var info = stat()
        guard stat(program, &info) == 0 else {
            throw Failure("\(program) cannot be started: \(String(cString: strerror(errno)))", hint: "give the path of a program, as it is from here")
        }
        guard info.st_mode & S_IFMT == S_IFREG else { throw Failure("\(program) is no program", hint: "give the path of a program") }
        guard access(program, X_OK) == 0 else {
            throw Failure("\(program) is not executable", hint: "chmod +x \(program), or name what runs it: -- python3 \(program)")
        }
    }
}
