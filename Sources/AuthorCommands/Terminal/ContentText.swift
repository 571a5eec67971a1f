import JSONText
import MCP

/// What results hold, for people: text as it is, everything else by its kind and size.
enum ContentText {
    /// Bytes that are no text, which a terminal is not shown.
    struct Binary {
        var type: String
        var base64: String

        /// Without padding that says nothing.
        var count: Int { max(0, base64.utf8.count / 4 * 3 - base64.utf8.suffix(2).filter { $0 == UInt8(ascii: "=") }.count) }
    }

    static func line(_ block: JSONValue) -> String {
        switch block["type"]?.stringValue {
        case "text": return block["text"]?.stringValue ?? ""
        case "image", "audio":
            return binary(block).map { "[\(block["type"]?.stringValue ?? "data"): \($0.type), \(Count.text($0.count, "byte"))]" } ?? block.text
        case "resource_link":
            return "[link: \(block["uri"]?.stringValue ?? "")\(block["name"]?.stringValue.map { " (\($0))" } ?? "")]"
        case "resource": return block["resource"].map(resource) ?? block.text
        default: return block.text
        }
    }

    static func resource(_ content: JSONValue) -> String {
        if let text = content["text"]?.stringValue { return text }
        guard let binary = binary(content) else { return content.text }
        return "[\(content["uri"]?.stringValue ?? "resource"): \(binary.type), \(Count.text(binary.count, "byte")) — --output FILE saves it]"
    }

    /// The binary of a content block or a resource.
    static func binary(_ block: JSONValue) -> Binary? {
        guard let data = (block["data"] ?? block["blob"] ?? block["resource"]?["blob"])?.stringValue else { return nil }
        let type = (block["mimeType"] ?? block["resource"]?["mimeType"])?.stringValue ?? "application/octet-stream"
        return Binary(type: type, base64: data)
    }

    /// What `--output` saves: the only binary, else all text.
    static func bytes(_ blocks: [JSONValue]) throws -> [UInt8] {
        let binaries = blocks.compactMap(binary)
        guard let first = binaries.first else {
            return Array(blocks.map { $0["text"]?.stringValue ?? $0["resource"]?["text"]?.stringValue ?? line($0) }.joined(separator: "\n").utf8)
        }
        guard binaries.count == 1 else {
            throw Failure("the result holds \(binaries.count) binary contents, and --output saves one", hint: "--json prints them all in base64")
        }
        let text = first.base64.utf8.filter { $0 != 0x0A && $0 != 0x0D }
        guard let bytes = Base64.decode(ArraySlice(text)) else {
            throw Failure("the server's binary content is no base64", hint: "report it to the server's author")
        }
        return bytes
    }

    static func save(_ bytes: [UInt8], to file: String) throws {
        try OutputFile.write(bytes, to: file, option: "--output")
        if file != OutputFile.standardOutput { Output.note("\(Count.text(bytes.count, "byte")) in \(file)") }
    }
}
