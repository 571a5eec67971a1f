import ArgumentParser
import AuthorCommands
import ConfigImport
import FoundationEssentials
import Glibc
import JSONText
import ServerCheck

/// `berth test`, and with `--machine` the same question of a real machine: will it run hosted?
struct TestCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = {
        var configuration = TestServer.configuration
        configuration.discussion += """


            With --machine the command is hosted instead, as berth import would host it (a script with its folder, a program, uvx, npx, docker run), in a \
            machine of the running Berth, without a network unless --egress gives one. It is started and asked for its tools; each path, host and system \
            call that was refused meanwhile is named, with the remedy. Nothing is left but the image, for an hour.
            """
        return configuration
    }()

    @OptionGroup var test: TestServer
    @Flag(help: "Run it in a machine, and name what is refused to it there. Needs root and a Berth that runs.") var machine = false
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("With --machine, a host that it may reach, as connector add has it (repeatable).", valueName: "host"))
    var egress: [String] = []
    @OptionGroup var releases: AcceptOption
    @OptionGroup var state: StateOption

    func run() async throws {
        guard machine else {
            if !egress.isEmpty || !releases.accept.isEmpty {
                throw Failure("--egress and --accept belong to --machine", hint: "without it the server runs here, as you", code: 64)
            }
            return try await test.run()
        }
        try test.check()
        if test.call != nil {
            throw Failure("--call is for a server that runs here", hint: "in a machine it is started and asked for its tools; leave --call out", code: 64)
        }
        let baseline = try test.knownTools()
        let installation = try state.installation()
        let (variables, secrets) = try test.local.environment()
        var connector = try hosted(variables)
        if !egress.isEmpty { connector.egress = egress }
        var report = Report(command: test.command, secrets: secrets)
        var tools: [JSONValue]?
        guard var body = try await connector.body("test", secretsBefore: nil, installation).objectValue else { return }
        (body["trace"], body["accept"]) = (.bool(true), releases.json)
        let end: JSONValue
        do {
            end = try await Provisioning.accepted("POST", "/api/v1/image-tests", .object(body), installation, json: test.output.json, isQuiet: true).end
        } catch let ended as Provisioning.Ended {
            end = ended.event
        }
        HostedReport(end: end, memoryMB: connector.memoryMB ?? 256).add(to: &report)
        if end["event"] == "passed" {
            tools = end["tools"]?.arrayValue ?? []
            ToolList.check(tools ?? [], against: baseline, &report)
        }
        HostedReport(end: end, memoryMB: connector.memoryMB ?? 256).addRefusals(to: &report)
        try test.tell(report, tools: tools)
    }

    /// What the command would be as a connector, by the rules of an import.
    private func hosted(_ variables: [String: String]) throws -> ImportPlan.Connector {
        let folder = test.local.cwd ?? FileManager.default.currentDirectoryPath
        let entry = JSONValue.record(
            ("command", .string(test.command[0])), ("args", .strings(Array(test.command.dropFirst()))), ("cwd", .string(absolute(folder))),
            ("env", .strings(variables)))
        let document = JSONValue.record(("mcpServers", .record(("test", entry))))
        do throws(Refusal) {
            let plan = ImportPlan(try ImportFile(parsing: document.serialized(), file: "the command"), surroundings: ImportInput.surroundings)
            switch plan.items.first?.outcome {
            case .connector(let connector)?:
                // Where the folder matters it is the image's.
                for remark in connector.remarks where !remark.hasPrefix("cwd ") { Output.note(Printable.line(remark)) }
                return connector
            case .refused(let refusal)?: throw refusal
            case .disabled?, nil: throw Refusal("it is no command of a server", "for example -- python3 server.py")
            }
        } catch {
            throw Failure("it cannot be hosted as it is: \(error.reason)", hint: error.remedy, code: 64)
        }
    }

    private func absolute(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// How a trial in a machine ended, as findings.
struct HostedReport {
    let end: JSONValue
    let memoryMB: Int

    func add(to report: inout Report) {
        guard end["event"] == "passed" else {
            let reason = end["reason"]?.stringValue.map { $0 + (end["exit_code"]?.intValue.map { "(\($0))" } ?? "") + ": " } ?? ""
            let last = (end["stderr"]?.stringValue ?? "").split(separator: "\n").suffix(5).map { "\n| " + $0 }.joined()
            let hint = end["hint"]?.stringValue.map {
                $0.contains("standard error is above") ? "mend what its last words say; --env and --env-file give it variables" : $0
            }
            return report.add(Finding("machine.start", .failure, reason + Sentence.asClause(end.cell("message")) + last, remedy: hint))
        }
        report.add(
            Finding(
                "machine.start", .pass,
                "hosted, it started and listed its tools \(end.cell("seconds")) s after the first step: read-only root, \(memoryMB) MiB, 64 processes and threads"))
        if let bytes = end["image_bytes"]?.intValue { report.add(Finding("machine.image", .pass, "its image has \(Bytes.text(bytes)) of its own")) }
    }

    /// Each of them a warning: what a server does without is its own matter, and it may be much.
    func addRefusals(to report: inout Report) {
        let refused = end["refused"]?.arrayValue ?? []
        let isOff = refused.contains { $0["kind"] == "off" }
        for one in refused where one["kind"] != "off" { report.add(finding(one)) }
        if isOff {
            report.add(Finding("refused.calls", .skipped, "this host's kernel lets nobody follow its system calls"))
        } else if end["refused"] == nil {
            report.add(Finding("refused.calls", .skipped, "it did not come to have a machine"))
        } else if refused.isEmpty {
            report.add(Finding("refused.calls", .pass, "no path, host or system call was refused to it while it started"))
        }
    }

    private func finding(_ one: JSONValue) -> Finding {
        let (subject, how) = (one.cell("subject"), "\(one.cell("call")): \(one.cell("error"))")
        switch one["kind"]?.stringValue {
        case "host":
            let times = (one["count"]?.intValue ?? 1) == 1 ? "" : ", \(one.cell("count")) times"
            return Finding(
                "refused.host", .warning, "\(subject) was refused to it\(times) (\(one.cell("reason")))",
                remedy: one["option"]?.stringValue.map { "if it needs that host: \($0)" } ?? "no option allows it")
        case "path":
            return Finding(
                "refused.path", .warning, "\(subject) was refused to it (\(how))",
                remedy: one["error"] == "EROFS" ? "write below $HOME or $TMPDIR, which a session has for itself; the rest is read-only" : "it has a uid of its own: what it needs must be readable for all")
        case "absent":
            return Finding("refused.path", .warning, "\(subject) is not in its machine (\(how))", remedy: "put it into the folder of the server, or give it by --env or --secret")
        case "address":
            return Finding("refused.address", .warning, "\(subject) was refused to it (\(how))", remedy: "machines reach hosts by name: --egress HOST")
        case "limit":
            return Finding("refused.limit", .warning, "it reached a limit (\(how)\(subject == one.cell("call") ? "" : ", " + subject))", remedy: "use less, or ask for more: --memory, --pids")
        default:
            return Finding("refused.call", .warning, "the system call \(how)\(subject == one.cell("call") ? "" : ", " + subject)", remedy: "do without it; a machine gives it to nobody")
        }
    }
}
