import ArgumentParser
import JSONText

/// `berth tools`
struct Tools: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the tools of an MCP URL, or of a STDIO server.",
        usage: "\(Program.name) tools URL [options]\n\(Program.name) tools [options] -- COMMAND …")
    @Argument(help: "MCP URL; left out with -- COMMAND.") var url: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var json: JSONOption

    func run() async throws { try await OfferText.list("tools", of: url, server, json: json.json, OfferText.tool) }
}

/// `berth prompts`
struct Prompts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the prompts of an MCP URL, or of a STDIO server.",
        usage: "\(Program.name) prompts URL [options]\n\(Program.name) prompts [options] -- COMMAND …")
    @Argument(help: "MCP URL; left out with -- COMMAND.") var url: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var json: JSONOption

    func run() async throws { try await OfferText.list("prompts", of: url, server, json: json.json, OfferText.prompt) }
}

/// `berth resources`
struct Resources: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the resources and resource templates of an MCP URL, or of a STDIO server.",
        usage: "\(Program.name) resources URL [options]\n\(Program.name) resources [options] -- COMMAND …",
        discussion: "With --json: one object a line, the result of resources/list and that of resources/templates/list.")
    @Argument(help: "MCP URL; left out with -- COMMAND.") var url: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var json: JSONOption

    func run() async throws {
        let target = try ServerTarget([url], command: server.command, names: [])
        let isJSON = json.json
        try await ServerTalk.run(target, server) { talk in
            let resources = try await talk.list("resources/list", "resources")
            // A server may have resources and know nothing of templates.
            let templates = try? await talk.list("resources/templates/list", "resourceTemplates")
            if isJSON {
                for answer in [resources, templates].compactMap(\.self) { Output.raw(answer.bytes) }
                return
            }
            for resource in resources.value["resources"]?.arrayValue ?? [] { Output.line(OfferText.resource(resource, "uri")) }
            for template in templates?.value["resourceTemplates"]?.arrayValue ?? [] { Output.line(OfferText.resource(template, "uriTemplate")) }
        }
    }
}

/// What servers offer, a line or a few for each.
enum OfferText {
    /// Prints all pages of a list.
    static func list(
        _ member: String, of url: String?, _ server: ServerOptions, json: Bool, _ text: @escaping @Sendable (JSONValue) -> String
    ) async throws {
        let target = try ServerTarget([url], command: server.command, names: [])
        try await ServerTalk.run(target, server) { talk in
            let answer = try await talk.list(member + "/list", member)
            try Results.print(answer, json: json) {
                let items = answer.value[member]?.arrayValue ?? []
                for item in items { Output.line(text(item)) }
                if items.isEmpty { Output.note("\(target.name) has no \(member)") }
            }
        }
    }

    static func tool(_ tool: JSONValue) -> String {
        head(tool["name"]?.stringValue ?? "", tool) + schema(tool["inputSchema"])
    }

    static func prompt(_ prompt: JSONValue) -> String {
        let arguments = (prompt["arguments"]?.arrayValue ?? []).map { argument in
            "\n    \(argument["name"]?.stringValue ?? "")\(argument["required"]?.boolValue == true ? " (required)" : "")" + detail(argument)
        }
        return head(prompt["name"]?.stringValue ?? "", prompt) + arguments.joined()
    }

    static func resource(_ resource: JSONValue, _ member: String) -> String {
        let type = resource["mimeType"]?.stringValue.map { " (\($0))" } ?? ""
        return head((resource[member]?.stringValue ?? "") + type, resource)
    }

    /// The arguments of a tool: name, type, whether it must be given.
    static func schema(_ schema: JSONValue?) -> String {
        let required = Set(schema?["required"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        return (schema?["properties"]?.objectValue?.members ?? []).map { name, property in
            "\n    \(name): \(type(property))\(required.contains(name) ? " (required)" : "")" + detail(property)
        }.joined()
    }

    static func type(_ property: JSONValue) -> String {
        if let values = property["enum"]?.arrayValue { return values.map { $0.stringValue ?? $0.text }.joined(separator: "|") }
        if let several = (property["anyOf"] ?? property["oneOf"])?.arrayValue { return several.map(type).joined(separator: "|") }
        if let several = property["type"]?.arrayValue { return several.compactMap(\.stringValue).joined(separator: "|") }
        if property["type"]?.stringValue == "array" { return property["items"].map { type($0) + "[]" } ?? "array" }
        return property["type"]?.stringValue ?? "any"
    }

    private static func head(_ name: String, _ item: JSONValue) -> String {
        Printable.line(name) + detail(item)
    }

    private static func detail(_ item: JSONValue) -> String {
        (item["description"] ?? item["title"])?.stringValue.map { "  " + Printable.line($0) } ?? ""
    }
}
