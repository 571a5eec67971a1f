import ArgumentParser
import JSONText

/// `berth read`
struct Read: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read one resource of an MCP URL, or of a STDIO server.",
        usage: "\(Program.name) read URL RESOURCE [options]\n\(Program.name) read RESOURCE [options] -- COMMAND …",
        discussion: "Binary contents are told by type and size; --output FILE saves them.")
    @Argument(help: "MCP URL; left out with -- COMMAND.") var url: String?
    @Argument(help: "The resource's URI.") var resource: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var saved: OutputOption
    @OptionGroup var json: JSONOption

    func run() async throws {
        let target = try ServerTarget([url, resource], command: server.command, names: ["RESOURCE"])
        let (isJSON, output) = (json.json, saved.output)
        try await ServerTalk.run(target, server) { talk in
            let answer = try await talk.call("resources/read", ["uri": .string(target.words[0])])
            let contents = answer.value["contents"]?.arrayValue ?? []
            try Results.print(answer, json: isJSON, output: output, contents: contents) {
                for content in contents { Output.line(ContentText.resource(content)) }
            }
        }
    }
}

/// `berth prompt`
struct PromptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prompt", abstract: "Get one prompt of an MCP URL, or of a STDIO server.",
        usage: """
            \(Program.name) prompt URL NAME ['{"argument": "value"}'] [options]
            \(Program.name) prompt NAME ['{…}'] [options] -- COMMAND …
            """)
    @Argument(help: "MCP URL; left out with -- COMMAND.") var url: String?
    @Argument(help: "Name of the prompt.") var name: String?
    @Argument(help: "Its arguments, a JSON object of strings.") var arguments: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var saved: OutputOption
    @OptionGroup var json: JSONOption

    func run() async throws {
        let target = try ServerTarget([url, name, arguments], command: server.command, names: ["NAME", "'{json}'"], optional: 1)
        let arguments = try target.object(1)
        let (isJSON, output) = (json.json, saved.output)
        try await ServerTalk.run(target, server) { talk in
            let answer = try await talk.call("prompts/get", ["name": .string(target.words[0]), "arguments": .object(arguments)])
            let messages = answer.value["messages"]?.arrayValue ?? []
            try Results.print(answer, json: isJSON, output: output, contents: messages.compactMap { $0["content"] }) {
                for message in messages {
                    let blocks = message["content"]?.arrayValue ?? [message["content"] ?? [:]]
                    for block in blocks { Output.line("\(message["role"]?.stringValue ?? ""): \(ContentText.line(block))") }
                }
            }
        }
    }
}

/// `berth complete`
struct Complete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask an MCP URL, or a STDIO server, to complete an argument of a prompt or a resource template.",
        usage: "\(Program.name) complete URL REF ARGUMENT VALUE [options]\n\(Program.name) complete REF ARGUMENT VALUE [options] -- COMMAND …",
        discussion: "REF is a prompt's name, or a resource template's URI (whatever holds ://).")
    @Argument(help: "MCP URL; left out with -- COMMAND.") var url: String?
    @Argument(help: "A prompt's name, or a resource template's URI.") var reference: String?
    @Argument(help: "Name of the argument.") var argument: String?
    @Argument(help: "What has been typed of its value.") var value: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var json: JSONOption

    func run() async throws {
        let target = try ServerTarget(
            [url, reference, argument, value], command: server.command, names: ["REF", "ARGUMENT", "VALUE"], optional: 1)
        let isJSON = json.json
        let name = target.words[0]
        let reference: JSONValue =
            name.contains("://")
            ? ["type": "ref/resource", "uri": .string(name)] : ["type": "ref/prompt", "name": .string(name)]
        let argument: JSONValue = ["name": .string(target.words[1]), "value": .string(target.word(2) ?? "")]
        try await ServerTalk.run(target, server) { talk in
            let answer = try await talk.call("completion/complete", ["ref": reference, "argument": argument])
            try Results.print(answer, json: isJSON) {
                for value in answer.value["completion"]?["values"]?.arrayValue ?? [] { Output.line(value.stringValue ?? value.text) }
                if answer.value["completion"]?["hasMore"]?.boolValue == true { Output.note("there are more") }
            }
        }
    }
}
