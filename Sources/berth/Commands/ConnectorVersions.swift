import ArgumentParser
import AuthorCommands
import Glibc
import JSONText
import Wire

extension ConnectorCommand {
    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Resolve a connector's source anew, show what would change, ask, and put the new version in the old one's place.",
            discussion: """
                Before you have said yes the new code runs once, in a machine without the connector's secrets and without a network, to list its tools. \
                The old machine serves until the new one has answered; what fails leaves it as it was. berth connector rollback takes it back.
                """)
        @OptionGroup var connector: Named
        @Flag(help: "Do not ask, and take the new version's tools as they are.") var yes = false
        @OptionGroup var releases: AcceptOption
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            guard yes || isatty(0) == 1 else {
                throw Failure("a rebuild asks before it replaces \(connector.name), and nobody can be asked here", hint: "add --yes", code: 64)
            }
            let installation = try state.installation()
            let path = "/api/v1/connectors/\(URLPath.segment(connector.name))/rebuild"
            let (changes, accepted) = try await Provisioning.accepted(
                "POST", path, .record(("accept", releases.json)), installation, json: output.json, asks: !yes)
            if changes["same"]?.boolValue == true {
                if !output.json { Output.line("nothing has changed: version \(changes.cell("version")) is built of the same") }
                return
            }
            if !output.json || !yes { ChangesText(changes).show(onError: output.json) }
            if !yes {
                Output.prompt("Put this in the place of version \(changes.cell("version")) of \(connector.name)? [y/N] ")
                guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
                    throw Failure("\(connector.name) is as it was", hint: "berth connector rebuild \(connector.name) --yes does not ask")
                }
            }
            // Whoever was not shown the tools has agreed to none in particular.
            let tools = yes ? Optional<JSONValue>.none : changes["tools_digest"]
            try await Provisioning.run(
                "POST", path, .record(("image", changes["image"]), ("tools", tools), ("accept", accepted)), installation, json: output.json, asks: !yes)
        }
    }

    struct Rollback: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put the code of an earlier version of a connector back in its place.",
            discussion: """
                The code is its image and how that is started. Secrets, environment, hosts, limits and machines stay as they are now. It becomes a new \
                version; berth connector show lists them. The one that serves does so until the earlier one has answered again.
                """)
        @OptionGroup var connector: Named
        @Option(help: ArgumentHelp("The version; without it the last one before with other code.", valueName: "version")) var to: Int?
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            let path = "/api/v1/connectors/\(URLPath.segment(connector.name))/rollback"
            try await Provisioning.run("POST", path, .record(("to", to.map { .int($0) })), try state.installation(), json: output.json)
        }
    }
}

/// What a new version differs in, for people.
struct ChangesText {
    let changes: JSONValue

    init(_ changes: JSONValue) { self.changes = changes }

    /// - Parameter onError: standard output is a program's.
    func show(onError: Bool) {
        for line in lines { onError ? Output.error(line) : Output.line(line) }
    }

    var lines: [String] {
        func short(_ key: String) -> String { String(changes.cell(key).dropFirst(7).prefix(12)) }
        var lines = ["Image      \(short("image_before")) → \(short("image"))"]
        let packages = changes["packages"]?.arrayValue ?? []
        lines.append("Packages   " + (packages.isEmpty ? "the same" : "\(packages.count) differ"))
        for package in packages {
            let (name, before, after) = (package.cell("name"), package["before"]?.stringValue, package["after"]?.stringValue)
            switch (before, after) {
            case (let before?, let after?): lines.append("  ~ \(name) \(before) → \(after)")
            case (let before?, nil): lines.append("  - \(name) \(before)")
            default: lines.append("  + \(name) \(after ?? "")")
            }
        }
        guard let tools = changes["tools"]?.arrayValue else {
            let said = changes["stderr"]?.stringValue?.split(whereSeparator: \.isNewline).suffix(20) ?? []
            return lines.map(Printable.line) + ["Tools      not known: " + Printable.line(changes.cell("reason"))] + said.map { "  | " + Printable.line(String($0)) }
        }
        lines.append("Tools      " + (tools.isEmpty ? "the same" : "\(tools.count) differ"))
        for tool in tools {
            switch tool.cell("change") {
            case "added":
                lines.append("  + \(tool.cell("name"))")
                // What a model will read is what an admin agrees to.
                for key in ["description", "inputSchema"] {
                    if let value = tool["tool"]?[key] { lines.append("      \(key): \(Self.cut(value.text[...]))") }
                }
            case "removed": lines.append("  - \(tool.cell("name"))")
            default:
                lines.append("  ~ \(tool.cell("name"))")
                for difference in tool["differences"]?.arrayValue ?? [] {
                    let sides = Self.sides(difference["before"]?.text ?? "nothing", difference["after"]?.text ?? "nothing")
                    lines.append("      \(difference.cell("pointer")): \(sides.0) → \(sides.1)")
                }
            }
        }
        return lines.map(Printable.line)
    }

    /// Where long texts differ: what both begin and end with is left out, but for some words of it.
    private static func sides(_ before: String, _ after: String) -> (String, String) {
        guard before.count > 160 || after.count > 160 else { return (before, after) }
        let (left, right) = (Array(before), Array(after))
        let least = min(left.count, right.count)
        let head = (0..<least).first { left[$0] != right[$0] } ?? least
        let tail = (0..<(least - head)).first { left[left.count - 1 - $0] != right[right.count - 1 - $0] } ?? least - head
        func part(_ text: [Character]) -> String {
            let (start, end) = (max(0, head - 40), min(text.count, text.count - tail + 40))
            return (start > 0 ? "…" : "") + cut(String(text[start..<end])[...]) + (end < text.count ? "…" : "")
        }
        return (part(left), part(right))
    }

    /// All of it, up to what still can be read; --json has the rest.
    private static func cut(_ text: Substring) -> String {
        text.count > 2_000 ? text.prefix(2_000) + "… (\(text.count - 2_000) more characters: --json)" : String(text)
    }
}
