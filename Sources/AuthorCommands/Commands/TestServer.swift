import ArgumentParser
import Glibc
import JSONText
import ServerCheck
import Standalone

/// `berth test`
package struct TestServer: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Run a STDIO server through the bridge and say what a gateway will make of it.",
        usage: "\(Program.name) test [options] -- COMMAND …",
        discussion: """
            Starts the server several times, calls no tool but one that is marked read-only and needs no arguments, or the one of --call, \
            and leaves nothing behind. Ends with status 0 when nothing failed, 1 when something did. docs/connector-authors.md has examples.
            """)
    @OptionGroup package var local: LocalServerOptions
    @Option(help: ArgumentHelp("How long each step may take: 90s, 2m, or seconds.", valueName: "time")) package var timeout = "60"
    @Option(help: ArgumentHelp("A call that is safe to make, cancel and break off: TOOL or TOOL='{json}'.", valueName: "call")) package var call: String?
    @Option(help: ArgumentHelp("A file with the list of tools as it should be; every difference is a failure.", valueName: "file")) package var baseline:
        String?
    @Flag(help: "Write the list of tools to the file of --baseline instead of comparing.") package var writeBaseline = false
    @Option(help: ArgumentHelp("Write the report as JUnit XML too.", valueName: "file")) package var junit: String?
    @Flag(help: "Warnings are failures.") package var strict = false
    @OptionGroup package var output: JSONOption
    @Argument(parsing: .postTerminator, help: "The server's command.") package var command: [String] = []

    package init() {}

    package func run() async throws {
        let settings = try settings()
        let isShown = isatty(2) == 1
        let work = Task.detached { try await CheckRun.run(settings) { if isShown { Output.note(Printable.line($0)) } } }
        let interrupted = Interruption { work.cancel() }
        let result = await work.result
        if interrupted.cameAs != 0 { throw ExitCode(128 + interrupted.cameAs) }
        let outcome: CheckRun.Outcome
        do {
            outcome = try result.get()
        } catch {
            throw Failure("the test could not be made: \(error)", hint: "does this host let you start processes and listen on 127.0.0.1?", code: 70)
        }
        try tell(outcome.report, tools: outcome.tools)
    }

    /// Says what was found out, as the options want it.
    ///
    /// - Throws: an exit code of 1 where something failed.
    package func tell(_ report: Report, tools: [JSONValue]?) throws {
        if output.json {
            Output.json(ReportJSON.value(report, isStrict: strict))
        } else {
            for line in ReportText.lines(report, isStrict: strict) { Output.line(line) }
        }
        if let junit { try OutputFile.write(Array(ReportJUnit.text(report, isStrict: strict).utf8), to: junit, option: "--junit") }
        if writeBaseline, let baseline, let tools {
            try OutputFile.write(Array(ToolBaseline(tools: tools).text.utf8), to: baseline, option: "--baseline")
            Output.note("\(baseline) has \(Count.text(tools.count, "tool"))")
        }
        if !report.hasPassed(isStrict: strict) { throw ExitCode(1) }
    }

    /// The options, checked.
    private func settings() throws -> CheckSettings {
        let seconds = try check()
        let server = try local.server(command)
        let path = server.environment.filter { $0.hasPrefix("PATH=") }
        return CheckSettings(
            server: server, bareEnvironment: server.environment == path ? nil : path, seconds: seconds, call: try safeCall(),
            baseline: try knownTools(), bridge: "\(Program.name) bridge")
    }

    /// What every kind of test is given.
    ///
    /// - Returns: how many seconds a step may take.
    @discardableResult
    package func check() throws -> Int {
        guard !command.isEmpty else { throw Failure("no command given", hint: "\(CommandPath.current) -- python3 server.py", code: 64) }
        let seconds = try TimeLimit.seconds(timeout, 1...3_600, hint: "90s, 2m, or seconds, from 1 to 3600")
        if let junit { try OutputFile.check(junit, option: "--junit") }
        if writeBaseline, let baseline { try OutputFile.check(baseline, option: "--baseline") }
        return seconds
    }

    private func safeCall() throws -> SafeCall? {
        guard let call else { return nil }
        guard let parsed = SafeCall(call) else {
            throw Failure("--call '\(call.prefix(64))' is no TOOL='{json}'", hint: #"for example --call echo='{"text": "hello"}'"#, code: 64)
        }
        return parsed
    }

    package func knownTools() throws -> ToolBaseline? {
        guard let baseline else {
            if writeBaseline { throw Failure("--write-baseline without --baseline", hint: "name the file: --baseline tools.json", code: 64) }
            return nil
        }
        if writeBaseline { return nil }
        guard let bytes = readFile(baseline) else {
            throw Failure(
                "--baseline \(baseline) cannot be read: \(String(cString: strerror(errno)))", hint: "--write-baseline writes it the first time",
                code: 64)
        }
        guard let tools = ToolBaseline(parsing: bytes) else {
            throw Failure("--baseline \(baseline) holds no list of tools", hint: "--write-baseline writes it anew", code: 64)
        }
        return tools
    }
}
