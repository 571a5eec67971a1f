import ArgumentParser
import JSONText
import MCP

/// `berth call`: one tool call from a terminal.
struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Call one tool of an MCP URL, or of a STDIO server.",
        usage: """
            \(Program.name) call URL TOOL ['{"name": "value"}'] [options]
            \(Program.name) call TOOL ['{"name": "value"}'] [options] -- COMMAND …
            """,
        discussion: """
            The bearer token comes from --token-file, or from the environment variable BERTH_TOKEN; never from the command line.
            What the server asks meanwhile is asked on the terminal; without one it is declined, or answered from --answers.
            """)
    @Argument(help: "MCP URL, for example http://127.0.0.1:8787/v/office/mcp; left out with -- COMMAND.") var url: String?
    @Argument(help: "Name of the tool.") var tool: String?
    @Argument(help: "Its arguments, a JSON object.") var arguments: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var saved: OutputOption
    @OptionGroup var json: JSONOption

    func run() async throws {
        let target = try ServerTarget([url, tool, arguments], command: server.command, names: ["TOOL", "'{json}'"], optional: 1)
        let arguments = try target.object(1)
        let (isJSON, output) = (json.json, saved.output)
        try await ServerTalk.run(target, server) { talk in
            let answer = try await talk.call("tools/call", ["name": .string(target.words[0]), "arguments": .object(arguments)])
            let blocks = answer.value["content"]?.arrayValue ?? []
            try Results.print(answer, json: isJSON, output: output, contents: blocks) {
                for block in blocks { Output.line(ContentText.line(block)) }
                if blocks.isEmpty, let value = answer.value["structuredContent"] { Output.line(value.text) }
            }
            guard answer.value["isError"]?.boolValue == true else { return }
            if let refusal = Questions.refusal(in: blocks.map(ContentText.line).joined(separator: "\n")) { Output.note(refusal) }
            throw ExitCode(1)
        }
    }
}

/// How a result is told.
enum Results {
    /// - Parameters:
    ///   - contents: what `--output` saves.
    ///   - text: prints it for people.
    static func print(_ answer: ServerTalk.Answer, json: Bool, output: String? = nil, contents: [JSONValue] = [], text: () -> Void) throws {
        if let output { return try ContentText.save(json ? answer.bytes : ContentText.bytes(contents), to: output) }
        guard json else { return text() }
        // As it came: what is read and written again might not be the same.
        Output.raw(answer.bytes)
    }
}
