import AuthorCommands
import ConfigImport
import FoundationEssentials
import JSONText
import Wire

/// Carries an import out: one server after the other, then the virtual MCP with those that are ready. One that fails takes no other with it.
struct ImportWork {
    let decision: ImportDecision
    let vmcp: String
    /// Behind the virtual MCP already; nil where there is none.
    let behind: [String]?
    let installation: Installation
    let json: Bool
    /// Releases to which somebody has said yes.
    let accept: JSONValue?
    /// Somebody at a terminal may be asked.
    let asks: Bool

    private struct Failed {
        var server: String
        var message: String
        var hint: String?
    }

    private var gateway: ControlClient { .gateway(installation) }

    func run(principal: String?, file: String, section: String) async throws {
        var ready: [String] = []
        var failed: [Failed] = []
        let count = decision.taken.count
        var number = 0
        for item in decision.items {
            switch item.outcome {
            case .disabled: break
            case .refused(let refusal): failed.append(Failed(server: item.given, message: refusal.reason, hint: refusal.remedy))
            case .take(let verb, let connector, let before):
                number += 1
                json
                    ? Output.json(.record(("event", "importing"), ("server", .string(item.given)), ("connector", .string(item.name))))
                    : Output.line("\(item.name) (\(number) of \(count))" + (verb == .keep ? ": there already" : ""))
                do {
                    try await put(item.name, verb, connector, before)
                    ready.append(item.name)
                } catch {
                    let failure = Failure(of: error)
                    failed.append(Failed(server: item.given, message: failure.message, hint: failure.hint))
                    if !json { Output.error("  " + failure.line) }
                }
            }
        }
        guard !ready.isEmpty else {
            tell(failed)
            throw Failure("none of its servers was imported", hint: "the lines above say why of each", isTold: false)
        }
        let url = try await group(ready)
        let token = behind == nil || principal != nil ? try await token(for: principal ?? Self.caller) : nil
        tell(ready, failed, url: url, token: token, principal: principal ?? Self.caller, file: file, section: section)
        if !failed.isEmpty {
            throw Failure(
                "\(Count.text(failed.count, "server")) of \(file) not imported", hint: "mend what is said of each, and run the command again",
                isTold: true)
        }
    }

    private func put(_ name: String, _ verb: ImportDecision.Verb, _ connector: ImportPlan.Connector, _ before: [String]) async throws {
        switch verb {
        case .keep: break
        case .add:
            try await Provisioning.run(
                "POST", "/api/v1/connectors", try await body(connector, name, nil), installation, json: json, asks: asks)
        case .replace:
            try await Provisioning.run(
                "PATCH", "/api/v1/connectors/\(URLPath.segment(name))", try await body(connector, name, before), installation, json: json, asks: asks)
        }
    }

    private func body(_ connector: ImportPlan.Connector, _ name: String, _ before: [String]?) async throws -> JSONValue {
        let body = try await connector.body(name, secretsBefore: before, installation)
        guard let accept, var members = body.objectValue else { return body }
        members["accept"] = accept
        return .object(members)
    }

    /// - Returns: the virtual MCP's URL.
    private func group(_ ready: [String]) async throws -> String {
        guard let behind else {
            return try await gateway.json("POST", "/api/v1/vmcps", .record(("name", .string(vmcp)), ("connectors", .strings(ready)))).cell("url")
        }
        // As it is now: the builds took their time.
        let now = try await gateway.get("/api/v1/vmcps")["vmcps"]?.arrayValue?.first { $0.cell("name") == vmcp }
        let there = now?["connectors"]?.arrayValue?.compactMap(\.stringValue) ?? behind
        let all = there + ready.filter { !there.contains($0) }
        return try await gateway.json("PATCH", "/api/v1/vmcps/\(URLPath.segment(vmcp))", .record(("connectors", .strings(all)))).cell("url")
    }

    private func token(for principal: String) async throws -> String? {
        try await gateway.json("POST", "/api/v1/tokens", .record(("principal", .string(principal)), ("vmcp", .string(vmcp))))["token"]?.stringValue
    }

    /// Who runs the command, behind sudo too.
    private static var caller: String {
        let environment = ProcessInfo.processInfo.environment
        return [environment["SUDO_USER"], environment["USER"]].compactMap { $0 }.first { !$0.isEmpty } ?? "root"
    }

    // MARK: What it says

    private func tell(_ failed: [Failed]) {
        guard !json else {
            return Output.json(.record(("event", "done"), ("imported", .array([])), ("not_imported", Self.json(failed))))
        }
        for item in failed {
            Output.line("  \(Printable.line(item.server)): \(Printable.line(item.message))" + (item.hint.map { " — " + Printable.line($0) } ?? ""))
        }
    }

    private static func json(_ failed: [Failed]) -> JSONValue {
        .array(failed.map { .record(("server", .string($0.server)), ("message", .string($0.message)), ("hint", $0.hint.map { .string($0) })) })
    }

    private func tell(
        _ ready: [String], _ failed: [Failed], url: String, token: String?, principal: String, file: String, section: String
    ) {
        let entry = JSONValue.record(
            ("type", "http"), ("url", .string(url)),
            ("headers", .record(("Authorization", .string("Bearer " + (token ?? "TOKEN"))))))
        let snippet = JSONValue.record((section, .record((vmcp, entry))))
        let secrets = decision.taken.filter { ready.contains($0.name) && !$0.connector.secrets.isEmpty && $0.verb != .keep }
        guard !json else {
            return Output.json(
                .record(
                    ("event", "done"), ("url", .string(url)), ("vmcp", .string(vmcp)), ("token", token.map { .string($0) }),
                    ("principal", token.map { _ in .string(principal) }), ("imported", .strings(ready)), ("not_imported", Self.json(failed)),
                    ("secrets", .object(JSONObject(secrets.map { ($0.name, .strings($0.connector.secrets.keys.sorted())) }))),
                    ("configuration", snippet)))
        }
        Output.line("\nURL    \(url)")
        if let token {
            Output.line("Token  \(token)   (of \(principal), shown once)")
        } else {
            Output.line("Token  as before; another one: berth token create --for \(principal) --vmcp \(vmcp)\(installation.stateOption)")
        }
        Output.line(
            "\nIn the client's configuration, in the place of \(ready.count == 1 ? "the server" : "the \(ready.count) servers"):\n  \(snippet.text)")
        if section == "mcpServers", vmcp == "claude-desktop" || file.hasSuffix("claude_desktop_config.json") {
            Output.line(
                "Claude Desktop starts programs only; with the token in a file:\n  "
                    + JSONValue.record(
                        (section, .record((vmcp, .record(("command", "berth"), ("args", .strings(["connect", url, "--token-file", "FILE"]))))))
                    ).text)
        }
        if !failed.isEmpty {
            Output.line("\nNot imported:")
            tell(failed)
        }
        let unreached = decision.taken.filter { ready.contains($0.name) && $0.connector.egress.isEmpty && $0.verb != .keep }.map(\.name)
        if !unreached.isEmpty {
            Output.line(
                "\nWithout a network: \(unreached.joined(separator: ", ")). A host is allowed by: berth connector update NAME --egress HOST\(installation.stateOption)"
            )
        }
        if !secrets.isEmpty, file != "-" {
            let names = secrets.map { "\($0.name) (\($0.connector.secrets.keys.sorted().joined(separator: ", ")))" }.joined(separator: ", ")
            Output.line("\nThe secrets of \(Printable.line(names)) are in the key ring now, and still in \(Printable.line(file)): remove them there.")
        }
    }
}
