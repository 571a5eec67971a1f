import ArgumentParser
import AuthorCommands
import ConfigImport
import Gateway
import Glibc
import JSONText
import Wire

/// `berth import`
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Host the servers of a client's configuration, and put them behind one URL.",
        discussion: """
            FILE is what Claude Desktop, Claude Code, Cursor (mcpServers) or VS Code (servers, inputs) reads. Each server that it starts becomes a \
            connector: uvx, pipx run and python -m of PyPI, npx of npm, docker run of an image, a script with its folder, one executable file. What \
            is secret among its variables and arguments goes into the key ring. The plan is shown first, secrets by their names alone. The file \
            itself is not changed. Run again, it goes on with what is not there yet.
            """)
    @Argument(help: ArgumentHelp("The client's configuration file; - is standard input.", valueName: "file")) var file: String
    @Option(help: ArgumentHelp("The virtual MCP that groups them (default: after the file).", valueName: "name")) var into: String?
    @Option(parsing: .singleValue, help: ArgumentHelp("Only this server of the file (repeatable).", valueName: "server")) var only: [String] = []
    @Flag(help: "Take the place of connectors of the same name.") var replace = false
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("A host that one of them may reach, as connector add has it (repeatable).", valueName: "server=host"))
    var egress: [String] = []
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("The value of ${env:K} or ${input:K}: K asks for it, K=@FILE reads a file (repeatable).", valueName: "k[=@file]"))
    var secret: [String] = []
    @Option(help: ArgumentHelp("The registry of images that name none, as docker run takes them.", valueName: "host")) var registry: String?
    @Option(name: .customLong("for"), help: ArgumentHelp("Whose token the URL is printed with (default: you).", valueName: "principal"))
    var principal: String?
    @Flag(help: "Show the plan and change nothing.") var dryRun = false
    @Flag(help: "Do not ask, and leave out what a question would remain about.") var yes = false
    @OptionGroup var releases: AcceptOption
    @OptionGroup var state: StateOption
    @OptionGroup var output: JSONOption

    func run() async throws {
        let installation = try state.installation()
        let vmcp = into ?? ConnectorName.ofFile(realPath(file))
        guard ConnectorRules.isName(vmcp) else {
            throw Failure("'\(vmcp.prefix(64))' is no name for a virtual MCP", hint: ConnectorRules.nameHint, code: 64)
        }
        let parsed = try selected(try parsed())
        if file == "-", secret.contains(where: { !$0.contains("=@") }) {
            throw Failure("standard input is the file, and --secret would ask there", hint: "--secret K=@FILE reads a file", code: 64)
        }
        let canAsk = isatty(0) == 1 && file != "-"
        let values = try ImportValues(of: parsed, given: Secrets.values(secret), asks: canAsk && !dryRun && !output.json)
        var plan = ImportPlan(parsed, values: values.known, registry: registry, surroundings: ImportInput.surroundings)
        ImportInput.refuseFolders(of: &plan)
        try addHosts(to: &plan, names: parsed.servers.map(\.name))
        let existing = try await Existing(installation, vmcp: vmcp, isOptional: dryRun, wanted: plan.connectors.map(\.name))
        let decision = ImportDecision(plan, existing: existing.connectors, isReplacing: replace)
        let report = ImportReport(decision: decision, remarks: parsed.remarks, vmcp: vmcp, before: existing.behind)
        output.json ? Output.json(report.json) : report.show()
        if !values.fromEnvironment.isEmpty {
            Output.note("taken from this command's environment, because the file asks for it: \(Printable.line(values.fromEnvironment.joined(separator: ", ")))")
        }
        guard !decision.taken.isEmpty else {
            throw Failure("none of its servers can be imported", hint: "the plan above says why of each", isTold: false)
        }
        if dryRun { return }
        try confirm(canAsk)
        let work = ImportWork(decision: decision, vmcp: vmcp, behind: existing.behind, installation: installation, json: output.json, accept: releases.json, asks: canAsk && !yes)
        try await work.run(principal: principal, file: file, section: parsed.section)
    }

    private func parsed() throws -> ImportFile {
        let bytes = try ImportInput.read(file)
        do throws(Refusal) {
            return try ImportFile(parsing: bytes, file: file == "-" ? "standard input" : file)
        } catch {
            throw Failure(error.reason, hint: error.remedy, code: 64)
        }
    }

    private func realPath(_ path: String) -> String {
        guard path != "-", let resolved = realpath(path, nil) else { return path == "-" ? "" : path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private func selected(_ parsed: ImportFile) throws -> ImportFile {
        guard !only.isEmpty else { return parsed }
        for name in only where !parsed.servers.contains(where: { $0.name == name }) {
            throw Failure("the file has no server \(name.prefix(64))", hint: Suggestion.text(for: name, among: parsed.servers.map(\.name)), code: 64)
        }
        var some = parsed
        some.servers.removeAll { !only.contains($0.name) }
        return some
    }

    private func addHosts(to plan: inout ImportPlan, names: [String]) throws {
        for text in egress {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw Failure(
                    "--egress \(text.prefix(64)) names no server", hint: "SERVER=HOST, for example --egress github=api.github.com", code: 64)
            }
            guard let index = plan.items.firstIndex(where: { $0.given == parts[0] || $0.name == parts[0] }) else {
                throw Failure("the file has no server \(parts[0].prefix(64))", hint: Suggestion.text(for: parts[0], among: names), code: 64)
            }
            guard case .connector(var connector) = plan.items[index].outcome else { continue }
            if !connector.egress.contains(parts[1]) { connector.egress.append(parts[1]) }
            if let bad = ConnectorRules.egressProblem(connector.egress, privateHosts: []) { throw Failure(bad.message, hint: bad.hint, code: 64) }
            plan.items[index].outcome = .connector(connector)
        }
    }

    private func confirm(_ canAsk: Bool) throws {
        if yes { return }
        guard canAsk, !output.json else {
            throw Failure(
                "nothing is imported without a yes, and nobody can be asked here", hint: "--yes imports without asking, --dry-run shows the plan",
                code: 64)
        }
        Output.prompt("Import them? [y/N] ")
        guard ["y", "yes"].contains(readLine(strippingNewline: true)?.trimmed.lowercased() ?? "") else {
            throw Failure("nothing was imported", hint: "answer y, or give --yes")
        }
    }

    /// What Berth has already.
    private struct Existing {
        /// Whole rows, of those names that are wanted.
        var connectors: [String: JSONValue] = [:]
        /// Of the virtual MCP; nil where there is none.
        var behind: [String]?

        /// - Parameter isOptional: without a Berth that runs, nothing is there.
        init(_ installation: Installation, vmcp: String, isOptional: Bool, wanted: [String]) async throws {
            let gateway = ControlClient.gateway(installation)
            do {
                let rows = try await gateway.get("/api/v1/connectors")["connectors"]?.arrayValue ?? []
                for row in rows where row["state"] == "ready" && wanted.contains(row.cell("name")) {
                    connectors[row.cell("name")] = try await gateway.get("/api/v1/connectors/\(URLPath.segment(row.cell("name")))")
                }
                let group = try await gateway.get("/api/v1/vmcps")["vmcps"]?.arrayValue?.first { $0.cell("name") == vmcp }
                behind = group.map { ($0["connectors"]?.arrayValue ?? []).compactMap(\.stringValue) }
            } catch  where isOptional {
                Output.note("warning: what is there already is not known: \(Failure(of: error).message)")
            }
        }
    }
}
