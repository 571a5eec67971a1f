import ArgumentParser
import AuthorCommands
import FoundationEssentials
import Glibc
import JSONText
import Wire

/// `berth tour`: the main job, once: host a server that nobody here wrote, put it behind a URL, call it, show the audit row.
struct Tour: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Host mcp-server-time, make one call through the gateway, show its audit row.",
        discussion: "A second run finds what the first one made and changes nothing.")
    @OptionGroup var releases: AcceptOption
    @OptionGroup var state: StateOption
    @OptionGroup var output: JSONOption

    private static let connector = "time"
    private static let vmcp = "tour"
    private static let principal = "tour"

    func run() async throws {
        let installation = try state.installation()
        let gateway = ControlClient.gateway(installation)
        let isNew = try await row(of: Self.connector, in: "connectors", gateway) == nil
        if isNew {
            if !output.json { Output.line("Hosting mcp-server-time from PyPI:") }
            try await Provisioning.run(
                "POST", "/api/v1/connectors",
                .record(("name", .string(Self.connector)), ("source", .record(("pypi", "mcp-server-time"))), ("accept", releases.json)),
                installation, json: output.json)
        }
        if try await row(of: Self.vmcp, in: "vmcps", gateway) == nil {
            _ = try await gateway.json("POST", "/api/v1/vmcps", .record(("name", .string(Self.vmcp)), ("connectors", .strings([Self.connector]))))
        }
        // A tour that was interrupted before its call makes it now.
        let earlier = isNew ? nil : try await lastCall(gateway)
        let call = if let earlier { earlier } else { try await callOnce(gateway) }
        if output.json {
            try await printJSON(call, installation, gateway)
        } else {
            if earlier == nil { print(call) }
            try await printSummary(installation, gateway)
        }
    }

    /// The row of a list of the API by its name.
    private func row(of name: String, in list: String, _ gateway: ControlClient) async throws -> JSONValue? {
        try await gateway.get("/api/v1/\(list)")[list]?.arrayValue?.first { $0["name"]?.stringValue == name }
    }

    // MARK: The call

    private struct FinishedCall {
        /// The tool's result.
        var answer: JSONValue
        var audit: JSONValue
    }

    /// One call as an AI client makes it, with a token of its own that ends with it.
    private func callOnce(_ gateway: ControlClient) async throws -> FinishedCall {
        let token = try await gateway.json(
            "POST", "/api/v1/tokens",
            .record(("principal", .string(Self.principal)), ("vmcp", .string(Self.vmcp)), ("expires_in", .int(600))))
        let revoke = "/api/v1/tokens/\(URLPath.segment(token.cell("id")))"
        let answer: JSONValue
        do {
            answer = try await ToolCall.run(
                "get_current_time", .record(("timezone", "Europe/Berlin")), url: token.cell("url"), token: token["token"]?.stringValue,
                socket: gateway.installation.controlSocket)
        } catch {
            _ = try? await gateway.json("DELETE", revoke)
            throw error
        }
        _ = try await gateway.json("DELETE", revoke)
        return FinishedCall(answer: answer, audit: try await lastRow(gateway) ?? .null)
    }

    /// The call of an earlier tour, as the audit log has it.
    private func lastCall(_ gateway: ControlClient) async throws -> FinishedCall? {
        guard let row = try await lastRow(gateway), row["outcome"]?.stringValue == "allowed", let answer = row["result"] else { return nil }
        return FinishedCall(answer: answer, audit: row)
    }

    private func lastRow(_ gateway: ControlClient) async throws -> JSONValue? {
        var last: JSONValue?
        try await gateway.lines("GET", AuditText.path(last: 1, method: "tools/call", principal: Self.principal)) { last = $0 }
        return last
    }

    // MARK: What it says

    private func printJSON(_ call: FinishedCall, _ installation: Installation, _ gateway: ControlClient) async throws {
        let machine = try await machines(installation).first
        let doctor = try await ControlClient.orchestrator(installation).get("/v1/berth/doctor")
        Output.json(
            .record(
                ("event", "done"), ("url", try await row(of: Self.vmcp, in: "vmcps", gateway)?["url"]), ("connector", .string(Self.connector)),
                ("machine", machine?["id"]), ("boot", machine?["berth"]?["boot_id"]),
                ("tools", try await row(of: Self.connector, in: "connectors", gateway)?["tools"]), ("answer", call.answer), ("audit", call.audit),
                ("isolation", Isolation.json(doctor))))
    }

    private func print(_ call: FinishedCall) {
        Output.line("\nAnswer of get_current_time through the gateway:")
        for block in call.answer["content"]?.arrayValue ?? [] {
            for line in (block["text"]?.stringValue ?? block.text).split(separator: "\n") { Output.line("  " + line) }
        }
        Output.line("\nIts audit row:")
        AuditText.print(call.audit)
    }

    private func printSummary(_ installation: Installation, _ gateway: ControlClient) async throws {
        let doctor = try await ControlClient.orchestrator(installation).get("/v1/berth/doctor")
        Output.line("\nMCP URL    \(try await row(of: Self.vmcp, in: "vmcps", gateway)?.cell("url") ?? "-")")
        for machine in try await machines(installation) {
            Output.line("Machine    \(machine.cell("id"))  \(machine.cell("state"))  boot \(machine["berth"]?["boot_id"]?.stringValue ?? "-")")
        }
        Output.line("Isolation  \(Isolation.line(doctor))")
        let name = CommandLine.arguments[0].contains("/") ? CommandLine.arguments[0] : "berth"
        // `make up` asked for sudo; the next command must too.
        let berth = getenv("SUDO_UID") == nil ? name : "sudo \(name)"
        let next = [
            ("token create --for alice --vmcp \(Self.vmcp)", "a URL and a token for an AI client"),
            ("connector add git --pypi mcp-server-git", "another server"), ("doctor --prove", "attack a live machine from inside"),
        ]
        Output.line("\nTry next:")
        for (command, why) in next { Output.line("  \(berth) " + (command + installation.stateOption).padded(to: 44) + " # \(why)") }
    }

    private func machines(_ installation: Installation) async throws -> [JSONValue] {
        try await Machines.all(installation).filter { $0["config"]?["metadata"]?["berth_connector"]?.stringValue == Self.connector }
    }
}
