import ArgumentParser
import JSONText
import MCP
import Standalone

/// `berth inspect`
struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what an MCP URL, or a STDIO server, says of itself and offers.",
        usage: "\(Program.name) inspect URL [options]\n\(Program.name) inspect [options] -- COMMAND …")
    @Argument(help: "MCP URL; left out with -- COMMAND.") var url: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var json: JSONOption

    /// The lists, and the capability that says there is one.
    private static let lists = [
        ("tools", "tools/list", "tools"), ("prompts", "prompts/list", "prompts"), ("resources", "resources/list", "resources"),
        ("resources", "resources/templates/list", "resourceTemplates"),
    ]

    func run() async throws {
        let target = try ServerTarget([url], command: server.command, names: [])
        let isJSON = json.json
        try await ServerTalk.run(target, server) { talk in
            let greeting = try await talk.greeting()
            let capabilities = ServerTalk.value(greeting.identity.capabilities)
            var offers: [(name: String, items: [JSONValue])] = []
            for (capability, method, member) in Self.lists where capabilities[capability] != nil {
                do {
                    offers.append((member, try await talk.list(method, member).value[member]?.arrayValue ?? []))
                } catch where member != "resourceTemplates" {
                    Output.note("\(method) failed, though \(capability) is declared: \(Failure(of: error).message)")
                } catch {
                    // A server may have resources and know nothing of templates.
                    continue
                }
            }
            if isJSON { return Self.printJSON(greeting, capabilities, offers) }
            Self.printText(greeting, capabilities, offers)
        }
    }

    private static func printJSON(_ greeting: ServerConnection.Greeting, _ capabilities: JSONValue, _ offers: [(name: String, items: [JSONValue])]) {
        var report: JSONObject = [
            "serverInfo": ServerTalk.value(greeting.identity.serverInfo), "era": greeting.era.map { .string($0.rawValue) } ?? nil,
            "protocolVersion": greeting.version.map { .string($0) } ?? nil, "capabilities": capabilities,
            "instructions": greeting.identity.instructions.map(ServerTalk.value) ?? nil,
        ]
        for (name, items) in offers { report[name] = .array(items) }
        Output.json(.object(report))
    }

    private static func printText(_ greeting: ServerConnection.Greeting, _ capabilities: JSONValue, _ offers: [(name: String, items: [JSONValue])]) {
        let info = ServerTalk.value(greeting.identity.serverInfo)
        let title = info["title"]?.stringValue.map { " (\($0))" } ?? ""
        Output.line("server        \(info["name"]?.stringValue ?? "unknown") \(info["version"]?.stringValue ?? "")\(title)")
        Output.line("protocol      \(greeting.version ?? "unknown") (\(greeting.era?.rawValue ?? "unknown"))")
        Output.line("capabilities  \(names(capabilities))")
        if let text = greeting.identity.instructions.map(ServerTalk.value)?.stringValue { Output.line("instructions  \(Printable.line(text))") }
        let counts = offers.map { offer in
            offer.name == "resourceTemplates"
                ? Count.text(offer.items.count, "resource template") : Count.text(offer.items.count, String(offer.name.dropLast()))
        }
        Output.line("offers        \(counts.isEmpty ? "nothing" : counts.joined(separator: ", "))")
        for (name, items) in offers where !items.isEmpty {
            Output.line()
            Output.line(name == "resourceTemplates" ? "resource templates" : name)
            for item in items {
                let text =
                    switch name {
                    case "tools": OfferText.tool(item)
                    case "prompts": OfferText.prompt(item)
                    case "resources": OfferText.resource(item, "uri")
                    default: OfferText.resource(item, "uriTemplate")
                    }
                Output.line("  " + text.split(separator: "\n").joined(separator: "\n  "))
            }
        }
    }

    /// `tools (listChanged), logging`
    private static func names(_ capabilities: JSONValue) -> String {
        let all = (capabilities.objectValue?.members ?? []).map { name, value in
            let on = (value.objectValue?.members ?? []).filter { $0.value.boolValue != false }.map(\.key)
            return on.isEmpty ? name : "\(name) (\(on.joined(separator: ", ")))"
        }
        return all.isEmpty ? "none" : all.joined(separator: ", ")
    }
}
