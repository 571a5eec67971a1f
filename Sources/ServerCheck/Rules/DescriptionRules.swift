public import JSONText

/// What a tool says of itself for those who decide about it: people, models, and a gateway's rules.
public enum DescriptionRules {
    public static func check(_ tools: [JSONValue]) -> [Finding] {
        var silent: [String] = []
        var unmarked: [String] = []
        var all: [Finding] = []
        for tool in tools {
            guard let name = tool["name"]?.stringValue else { continue }
            if tool["description"]?.stringValue?.isEmpty != false { silent.append(name) }
            let annotations = tool["annotations"]
            let reads = annotations?["readOnlyHint"]?.boolValue
            let destroys = annotations?["destructiveHint"]?.boolValue
            if reads == nil { unmarked.append(name) }
            if reads == true, destroys == true {
                all.append(
                    Finding(
                        "tools.annotations", .warning, "it is marked as read-only and as destructive",
                        remedy: "leave out destructiveHint where readOnlyHint is true", tool: name, pointer: "/annotations"))
            }
            if reads == false, destroys == nil {
                all.append(
                    Finding(
                        "tools.annotations", .note, "destructiveHint is not given, so clients take it for destructive",
                        remedy: #"add "destructiveHint": false if it only adds"#, tool: name, pointer: "/annotations"))
            }
        }
        if !unmarked.isEmpty {
            all.append(
                Finding(
                    "tools.annotations", .warning,
                    "no readOnlyHint: \(listed(unmarked)); gateways and clients take them for destructive and ask every time",
                    remedy: #"add "annotations": {"readOnlyHint": true} to those that change nothing, and false to the others"#))
        }
        if !silent.isEmpty {
            all.append(
                Finding(
                    "tools.descriptions", .warning, "no description: \(listed(silent))",
                    remedy: "say what it does and when to use it: models see nothing else"))
        }
        return all
    }

    static func listed(_ names: [String]) -> String {
        names.count <= 6 ? names.joined(separator: ", ") : names.prefix(5).joined(separator: ", ") + " and \(names.count - 5) more"
    }
}
