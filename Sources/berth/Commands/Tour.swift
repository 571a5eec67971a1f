import ArgumentParser
import FoundationEssentials
import Glibc
import JSONText

/// `berth tour`: the main job, once: host a server that nobody here wrote, put it behind a URL, call it, show the audit row.
struct Tour: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Host mcp-server-time, make one call through the gateway, show its audit row.",
        discussion: "A second run finds what the first one made and changes nothing.")
    @OptionGroup var state: StateOption

    private static let connector = "time"
    private static let vmcp = "tour"

    func run() async throws {
        let installation = try state.installation()
        let gateway = ControlClient.gateway(installation)
        let connectors = try await gateway.get("/api/v1/connectors")["connectors"]?.arrayValue ?? []
        let isNew = !connectors.contains { $0["name"]?.stringValue == Self.connector }
        if isNew {
            Output.line("Hosting mcp-server-time from PyPI:")
            try await Provisioning.run(
                "POST", "/api/v1/connectors",
                .record(("name", .string(Self.connector)), ("source", .record(("pypi", "mcp-server-time")))), installation, json: false)
        }
        let vmcps = try await gateway.get("/api/v1/vmcps")["vmcps"]?.arrayValue ?? []
        if !vmcps.contains(where: { $0["name"]?.stringValue == Self.vmcp }) {
            _ = try await gateway.json("POST", "/api/v1/vmcps", .record(("name", .string(Self.vmcp)), ("connectors", .strings([Self.connector]))))
        }
        if isNew { try await callOnce(gateway) }
        try await summary(installation, gateway)
    }

    /// One call as an AI client makes it, with a token of its own that ends with it.
    private func callOnce(_ gateway: ControlClient) async throws {
        let token = try await gateway.json(
            "POST", "/api/v1/tokens", .record(("principal", "tour"), ("vmcp", .string(Self.vmcp)), ("expires_in", .int(600))))
        let result = try await MCPCall.tool(
            "get_current_time", arguments: .record(("timezone", "Europe/Berlin")), url: token.cell("url"), token: token["token"]?.stringValue)
        Output.line("\nAnswer of get_current_time through the gateway:")
        for block in result["content"]?.arrayValue ?? [] { Output.line("  " + (block["text"]?.stringValue ?? block.text)) }
        Output.line("\nIts audit row:")
        try await gateway.lines("GET", "/api/v1/audit?limit=1&method=tools/call") { AuditText.print($0) }
        _ = try await gateway.json("DELETE", "/api/v1/tokens/\(token.cell("id"))")
    }

    private func summary(_ installation: Installation, _ gateway: ControlClient) async throws {
        let machines = try await Machines.all(installation)
        let doctor = try await ControlClient.orchestrator(installation).get("/v1/berth/doctor")
        let url = try await gateway.get("/api/v1/status").cell("url")
        Output.line("\nMCP URL    \(url)/v/\(Self.vmcp)/mcp")
        for machine in machines where machine["config"]?["metadata"]?["berth_connector"]?.stringValue == Self.connector {
            Output.line("Machine    \(machine.cell("id"))  \(machine.cell("state"))  boot \(machine["berth"]?["boot_id"]?.stringValue ?? "-")")
        }
        Output.line("Isolation  \(Isolation.line(doctor))")
        let berth = CommandLine.arguments[0].contains("/") ? CommandLine.arguments[0] : "berth"
        Output.line(
            """

            Try next:
              \(berth) token create --for alice --vmcp \(Self.vmcp)      # a URL and a token for an AI client
              \(berth) connector add git --pypi mcp-server-git      # another server
              \(berth) doctor --prove                               # attack a live machine from inside
            """)
    }
}
