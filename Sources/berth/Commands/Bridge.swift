import ArgumentParser
import Glibc
import JSONText
import StdioBridge

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
        if port > 0 { try PortCheck.free(host: "127.0.0.1", port: port, option: "--port PORT") }
        let environment = ["PATH=/usr/local/bin:/usr/bin:/bin"] + (try Variables.plain(env, remedy: "a command line is readable by everybody on this host").map { "\($0.key)=\($0.value)" })
        let (isJSON, program) = (output.json, command[0])
        let status = StandaloneBridge.run(StandaloneConfiguration(command: command, environment: environment, port: port)) { ready in
            guard isJSON else { return Output.line("\(ready.url) serves \(ready.tools) tools of \(program)") }
            Output.json(
                .record(
                    ("event", "ready"), ("url", .string(ready.url)), ("pid", .int(Int(getpid()))), ("port", .int(ready.port)),
                    ("tools", .int(ready.tools))))
        }
        guard status == 0 else { throw ExitCode(status) }
    }
}
