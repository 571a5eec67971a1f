import ArgumentParser
import Glibc
import MCP
import NIOCore
import Standalone
import StdioBridge
import Synchronization

/// `berth bridge`
struct Bridge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve STDIO servers as Streamable HTTP on this host, for their authors to test.",
        discussion: """
            One server after --, at /mcp (and /sse for clients of 2024-11-05), or those of a client's file with --config, each at /NAME/mcp. \
            Both protocol eras. A server that does not start or crashes is started again, with a growing delay; callers are told why. \
            Its environment is PATH and what you give, nothing else. Ends with INT, TERM or HUP and leaves no child.
            """)
    @Option(help: ArgumentHelp("Port to listen on (0: any).", valueName: "port")) var port = 0
    @Option(help: ArgumentHelp("Numeric address to listen on; any but loopback needs --token-file.", valueName: "address")) var host = "127.0.0.1"
    @Option(help: "Who shares a process: each session has one, each principal, or all have one (which then can ask clients nothing).")
    var mode = Sharing.session
    @Option(help: "Protocol era to speak with the server: auto asks it; legacy for one of both whose tools ask the client while they run.")
    var era = Back.EraChoice.auto
    @Option(help: ArgumentHelp("Servers as Claude, Cursor, VS Code and others keep them: {\"mcpServers\": {…}}.", valueName: "file"))
    var config: String?
    @OptionGroup var local: LocalServerOptions
    @Option(help: ArgumentHelp("End a process without a request for so long: 30s, 15m, 2h, or seconds.", valueName: "time")) var idle = "15m"
    @Option(help: ArgumentHelp("Processes of a server at once; beyond it an idle one makes room.", valueName: "number")) var maxProcesses = 64
    @Flag(help: "Start new processes when a file below the working directory changes; sessions live on.") var watch = false
    @Option(parsing: .singleValue, help: ArgumentHelp("A web origin that may call, as https://app.example.org (repeatable).", valueName: "origin"))
    var allowOrigin: [String] = []
    @Option(parsing: .singleValue, help: ArgumentHelp("A name clients reach the bridge by, with or without port (repeatable).", valueName: "host"))
    var allowHost: [String] = []
    @Option(help: ArgumentHelp("Bearer tokens that may call: TOKEN or NAME TOKEN a line; readable by you alone.", valueName: "file"))
    var tokenFile: String?
    @Flag(help: "Print each line for the operator as a JSON object.") var logJson = false
    @Flag(help: "Print a line for each message: direction, method, id, milliseconds, bytes.") var trace = false
    @Flag(help: "The same with arguments and results, up to 2 KiB each.") var traceBodies = false
    @Flag(help: "End with status 1 when a server does not start or crashes.") var exitOnCrash = false
    @OptionGroup var output: JSONOption
    @Argument(parsing: .postTerminator, help: "The server's command.") var command: [String] = []

    func run() throws {
        let log = BridgeLog(isJSON: logJson)
        // Before what ends the command is told, on the same descriptor.
        defer { log.flush() }
        do {
            let configuration = try settings(log)
            let isReady = Mutex(false)
            let isJSON = output.json
            let patience = Task.detached {
                guard (try? await Task.sleep(for: .seconds(5))) != nil, !isReady.withLock({ $0 }) else { return }
                log.note("waiting for the first answer of what is started, \(configuration.limits.start.nanoseconds / 1_000_000_000) s at most")
            }
            defer { patience.cancel() }
            let end = StandaloneBridge.run(configuration) { line in
                // The same reason is in the ready line, or is why the command fails.
                if line.message.hasPrefix("server not started: "), !isReady.withLock({ $0 }) { return }
                log.write(line)
            } announce: { ready in
                isReady.withLock { $0 = true }
                BridgeReady.print(ready, configuration, isJSON: isJSON)
            }
            switch end {
            case .stopped: return
            case .notStarted(let reason): throw Self.failure(reason)
            case .crashed(let reason): throw Failure("the server crashed: \(reason)", hint: "without --exit-on-crash it is started again")
            case .failed(let reason):
                throw Failure("the bridge did not start: \(reason)", hint: "this host refuses what a bridge needs: ulimit -a shows the limits", code: 70)
            }
        } catch {
            guard logJson else { throw error }
            throw log.ended(Failure(of: error), isJSON: output.json)
        }
    }

    /// - Parameter reason: One line, and under it what the server wrote to its standard error, which has been shown as it came.
    private static func failure(_ reason: String) -> Failure {
        let lines = reason.split(separator: "\n", maxSplits: 1).map(String.init)
        let message = lines.first ?? "no reason given"
        let hint =
            if let remedy = EraRemedy.text(message) {
                remedy
            } else if lines.count == 2 {
                "its standard error is above"
            } else if message.contains(": spawn ") {
                "its first line (#!) must name a program of this host, or name it yourself: -- python3 FILE"
            } else {
                "is it an MCP server on standard input and output?"
            }
        return Failure("the bridge did not start: \(message)", hint: hint)
    }
}

extension Sharing: ExpressibleByArgument {}
extension Back.EraChoice: ExpressibleByArgument {}
