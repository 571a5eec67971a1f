import JSONText
import Testing

@testable import ConfigImport

/// Files that are none, or only in part.
@Suite struct ImportFileTests {
    private func refusal(_ text: String) -> String {
        do { _ = try ImportFile(parsing: Array(text.utf8), file: "f.json") } catch { return error.reason }
        return "none"
    }

    @Test(arguments: [
        ("", "f.json is no JSON: line 1, column 1: unexpected end"), ("{\n  nope}", "f.json is no JSON: line 2, column 3: unexpected byte"),
        ("[]", "f.json has no object mcpServers, nor servers"), ("{}", "f.json has no object mcpServers, nor servers"),
        (#"{"mcpServers": []}"#, "mcpServers in f.json is no object"), (#"{"servers": {}}"#, "f.json names no server"),
        (#"{"mcpServers": {"a": {}, "a": {}}}"#, "f.json is no JSON: line 1, column 26: duplicate key"),
    ])
    func whatIsNoFileOfServers(text: String, reason: String) { #expect(refusal(text) == reason) }

    @Test func bounds() {
        #expect(refusal(#"{"mcpServers": {"a": {"command": "x"}}}"# + String(repeating: " ", count: 1 << 20)) == "f.json is over 1 MiB")
        let many = (0...64).map { #""s\#($0)": {"command": "uvx", "args": ["a"]}"# }.joined(separator: ",")
        #expect(refusal(#"{"mcpServers": {\#(many)}}"#) == "f.json has 65 servers")
        let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        #expect(refusal(#"{"mcpServers": {"a": {"command": "x", "args": \#(deep)}}}"#).hasSuffix("nested too deeply"))
    }

    /// An entry that cannot be read takes no other with it.
    @Test func anEntryThatIsBrokenIsAlone() throws {
        let text = #"""
            {"mcpServers": {
              "list": [], "nothing": {}, "typo": {"comand": "x"}, "numbers": {"command": "x", "args": [1]}, "type": {"type": "http"},
              "name": {"command": "x", "env": {"A-B=secret": "v"}}, "value": {"command": "x", "env": {"A": []}}, "file": {"command": "x", "envFile": ".env"},
              "ftp": {"url": "ftp://x.example/"}, "zero": {"command": "a\u0000b"},
              "good": {"command": "uvx", "args": ["mcp-server-time"], "env": {"N": 3, "B": true}, "colour": "red"}
            }}
            """#
        let file = try ImportFile(parsing: [0xEF, 0xBB, 0xBF] + Array(text.utf8), file: "f.json")
        let reasons = file.servers.map { server -> String in
            if case .broken(let refusal) = server.start { return "\(server.name): \(refusal.reason)" }
            return "\(server.name): good"
        }
        #expect(
            reasons == [
                "list: the entry is no object", "nothing: it has no command, and no url", "typo: it has no command, but comand",
                "numbers: args is no list of strings", "type: type is http, and there is no url", "name: env has 'A-B', which is no variable's name",
                "value: env: the value of A is no text", "file: envFile is a file of the client's", "ftp: url is no address of http or https",
                "zero: it has no command, and no url", "good: good",
            ])
        let plan = ImportPlan(file, surroundings: Surroundings { _ in .nothing })
        #expect(plan.connectors.map(\.name) == ["good"])
        #expect(plan.connectors.first?.connector.environment == ["N": "3", "B": "true"])
        #expect(plan.connectors.first?.connector.remarks == ["colour is not understood"])
    }

    @Test func aUsersOwnFileHasProjectsToo() throws {
        let file = try ImportFile(
            parsing: Array(#"{"mcpServers":{"a":{"command":"x"}},"projects":{"/p":{"mcpServers":{"b":{},"c":{}}},"/q":{}}}"#.utf8), file: "f.json")
        #expect(file.servers.count == 1)
        #expect(file.remarks == ["2 servers of single projects left out: they are imported from a file of their own"])
        let settings = try ImportFile(parsing: Array(#"{"editor.x":1,"mcp":{"servers":{"a":{"command":"x"}}}}"#.utf8), file: "f.json")
        #expect(settings.servers.map(\.name) == ["a"] && settings.section == "servers")
    }

    @Test(arguments: [
        ("${env:A}", ["env:A"]), ("x${input:my id}y${B}", ["input:my id", "env:B"]), ("${C:-d}", []), ("${own}", []), ("${a b} ${", []),
        ("${env:}", []),
    ])
    func placeholders(text: String, needs: [String]) {
        #expect(Template(text, own: ["own"]).needs.map { "\($0.kind.rawValue):\($0.name)" } == needs)
    }

    @Test func aFilledTextIsWhatItSays() throws {
        var room = Template.room
        let template = Template("ä${env:A}b${C:-d}${keep it}", own: [])
        let key = Placeholder(.environment, "A")
        let filled = try template.filled([key: "${env:C}"], room: &room)
        #expect(filled == Recognition.Word(text: "ä${env:C}bd${keep it}", filledAt: 2), "a value is no template")
        #expect(filled.dropping(1).filledAt == 1 && filled.dropping(9).filledAt == 0)
        #expect(try template.filled([key: "x"], open: [key], room: &room).filledAt == nil)
        #expect(try Template("${C:-d}").filled([:], room: &room) == .init(text: "d"), "the file's own text is no secret by where it stands")
        #expect(throws: Refusal.self) { try template.filled([:], room: &room) }
        #expect(throws: Refusal.self) { try Template("${workspaceFolder}/x").filled([:], room: &room) }
    }

    /// A short file that asks for one long value again and again.
    @Test func whatPlaceholdersBecomeIsBounded() throws {
        let value = String(repeating: "a b ", count: 30_000)
        let words = (0..<5_000).map { _ in "${input:a}" }.joined()
        for text in [
            #"{"servers": {"x": {"command": "uvx", "args": ["p", "\#(words)"]}}}"#,
            #"{"servers": {"x": {"command": "uvx", "args": ["p"], "env": {"A": "\#(words)"}}}}"#,
            #"{"servers": {"x": {"command": "uvx", "args": ["p"], "cwd": "\#(words)"}}}"#,
        ] {
            let file = try ImportFile(parsing: Array(text.utf8), file: "f.json")
            let plan = ImportPlan(file, values: [Placeholder(.input, "a"): value], surroundings: Surroundings { _ in .nothing })
            #expect(ClientFilesTests.lines(plan) == ["x: no: with the values of its placeholders it is over 1 MiB"])
        }
    }
}
