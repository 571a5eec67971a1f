import ArgumentParser
import Glibc
import JSONText

/// `berth call`: one tool call from a terminal, over Streamable HTTP, in the modern dialect.
struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Call one tool of an MCP URL.",
        discussion: "The bearer token comes from --token-file, or from the environment variable BERTH_TOKEN; never from the command line.")
    @Argument(help: "MCP URL, for example http://127.0.0.1:8787/v/office/mcp") var url: String
    @Argument(help: "Name of the tool.") var tool: String
    @Argument(help: "Its arguments, a JSON object.") var arguments = "{}"
    @Option(help: ArgumentHelp("File with the bearer token.", valueName: "file")) var tokenFile: String?
    @OptionGroup var output: JSONOption

    func run() async throws {
        let token: String?
        if let tokenFile {
            guard let bytes = readFile(tokenFile) else {
                throw Failure(
                    "--token-file \(tokenFile) cannot be read", hint: "give a file with the token that berth token create printed", code: 64)
            }
            token = String(decoding: bytes, as: UTF8.self).trimmingCharacters()
        } else {
            token = getenv("BERTH_TOKEN").map { String(cString: $0) }
        }
        guard let parsed = try? JSONValue(parsing: arguments), parsed.objectValue != nil else {
            throw Failure("the arguments are no JSON object", hint: "for example '{\"timezone\":\"UTC\"}'", code: 64)
        }
        let result = try await MCPCall.tool(tool, arguments: parsed, url: url, token: token)
        if output.json {
            Output.json(result)
        } else {
            for block in result["content"]?.arrayValue ?? [] { Output.line(block["text"]?.stringValue ?? block.text) }
        }
        if result["isError"]?.boolValue == true { throw ExitCode(1) }
    }
}

extension String {
    fileprivate func trimmingCharacters() -> String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
