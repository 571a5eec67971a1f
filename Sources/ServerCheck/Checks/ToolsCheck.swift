import JSONText

/// What can be said of a list of tools without calling one.
enum ToolsCheck {
    static func run(_ tools: [JSONValue], _ baseline: ToolBaseline?, _ report: inout Report) {
        guard !tools.isEmpty else {
            return report.add(
                Finding("tools.list", .warning, "it has no tools", remedy: "list at least one, unless it has only prompts or resources"))
        }
        let bytes = JSONValue.array(tools).serialized().count
        let size = "\(Count.text(tools.count, "tool")), \((bytes + 1_023) / 1_024) KB"
        if tools.count > 128 {
            report.add(
                Finding(
                    "tools.list", .warning, "\(size): VS Code and OpenAI take 128 tools of all servers together",
                    remedy: "merge tools, or split the server"))
        } else if bytes > 64 << 10 {
            report.add(
                Finding(
                    "tools.list", .note, "\(size): every conversation pays for that",
                    remedy: "shorten descriptions; leave out what models do not need"))
        } else {
            report.add(Finding("tools.list", .pass, size))
        }
        add(
            SchemaRules.check(tools) + tools.flatMap(HeaderRules.check),
            or: Finding(SchemaRules.id, .pass, "every schema is one that clients can use"), &report)
        add(
            NameRules.check(tools, server: report.name ?? "server"),
            or: Finding(NameRules.id, .pass, "every name suits Claude, Cursor, VS Code and OpenAI"), &report)
        add(
            DescriptionRules.check(tools), or: Finding("tools.annotations", .pass, "every tool says what it does and whether it changes anything"),
            &report)
        if let baseline {
            add(baseline.differences(to: tools), or: Finding(ToolBaseline.id, .pass, "the list is that of the baseline"), &report)
        }
    }

    private static func add(_ findings: [Finding], or pass: Finding, _ report: inout Report) { report.add(findings.isEmpty ? [pass] : findings) }
}
