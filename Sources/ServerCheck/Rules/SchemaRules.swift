public import JSONText

/// Whether what a tool says of its arguments and results is a JSON Schema that clients can use. Structure only: a schema that no value
/// satisfies passes.
public enum SchemaRules {
    /// What a list of usual size is far from: who makes it longer is not waited for.
    private static let maximumSteps = 2_000_000

    /// - Parameters:
    ///   - tools: the whole list.
    ///   - steps: how much is looked at, about a member each.
    public static func check(_ tools: [JSONValue], steps: Int? = nil) -> [Finding] {
        var left = steps ?? maximumSteps
        var all: [Finding] = []
        for (index, tool) in tools.enumerated() {
            all += check(tool, &left)
            guard left <= 0 else { continue }
            all.append(
                Finding(
                    id, .warning, "the schemas are too large to be looked at as a whole: the check ended in tool \(index + 1) of \(tools.count)",
                    remedy: "make them smaller: clients and models read them in every conversation"))
            break
        }
        return all
    }

    private static func check(_ tool: JSONValue, _ steps: inout Int) -> [Finding] {
        steps -= 1
        let name = tool["name"]?.stringValue ?? "a tool without a name"
        guard let input = tool["inputSchema"] else {
            return [
                Finding(
                    id, .failure, "there is no inputSchema", remedy: #"add "inputSchema": {"type": "object"}, also where nothing is taken"#,
                    tool: name)
            ]
        }
        var all: [Finding] = []
        for (member, schema) in [("inputSchema", input), ("outputSchema", tool["outputSchema"])] {
            guard let schema else { continue }
            var walk = SchemaWalk(root: schema, tool: name, start: "/" + member, steps: steps)
            walk.checkRoot(isInput: member == "inputSchema")
            walk.check(schema, at: "/" + member, depth: 0)
            all += walk.findings
            steps = walk.steps
        }
        return all
    }

    static let id = "tools.schema"
    static let types: Set = ["string", "number", "integer", "boolean", "object", "array", "null"]
}

/// One schema on its way through the rules.
struct SchemaWalk {
    let root: JSONValue
    let tool: String
    /// Where the schema stands in the tool's definition.
    let start: String
    private(set) var findings: [Finding] = []
    /// What may still be looked at; see `SchemaRules.check`.
    var steps: Int
    /// The names that references may use. Looked for once, and only where one does.
    lazy var anchors = Self.anchors(in: root)

    /// A finding is worth so many steps: nobody reads thousands.
    private static let findingSteps = 1_000
    private static let maximumDepth = 64
    private static let single = [
        "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties", "unevaluatedItems",
    ]
    private static let lists = ["anyOf", "oneOf", "allOf", "prefixItems"]
    private static let maps = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"]
    private static let numbers = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
    private static let counts = ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]

    init(root: JSONValue, tool: String, start: String, steps: Int) {
        self.root = root
        self.tool = tool
        self.start = start
        self.steps = steps
    }

    mutating func fail(_ text: String, _ pointer: String, _ remedy: String, _ severity: Finding.Severity = .failure) {
        guard steps > 0 else { return }
        steps -= Self.findingSteps
        findings.append(Finding(SchemaRules.id, severity, text, remedy: remedy, tool: tool, pointer: pointer))
    }

    mutating func checkRoot(isInput: Bool) {
        guard isInput, root.objectValue != nil else { return }
        if root["type"]?.stringValue != "object" {
            fail("its type is \(root["type"]?.text ?? "not given")", start, #"arguments are one object: "type": "object""#)
        }
        for keyword in ["anyOf", "oneOf", "allOf"] where root[keyword] != nil {
            fail(
                "\(keyword) stands at the top, which Claude's API refuses for all tools of a request", start + "/" + keyword,
                "put the alternatives into a property, or say them in the description", .warning)
        }
    }

    mutating func check(_ schema: JSONValue, at pointer: String, depth: Int) {
        if schema.boolValue != nil { return }
        steps -= 1 + pointer.utf8.count / 64
        guard steps > 0 else { return }
        guard let object = schema.objectValue else {
            return fail("\(shown(schema)) is no schema", pointer, "write an object, true or false")
        }
        guard depth < Self.maximumDepth else {
            return fail("it is nested more than \(Self.maximumDepth) deep", pointer, "flatten it, or use $defs and $ref")
        }
        steps -= object.count
        checkType(schema, pointer)
        checkReference(schema, pointer)
        checkRequired(schema, pointer)
        checkValues(schema, pointer)
        for keyword in Self.single {
            guard let value = schema[keyword] else { continue }
            let place = pointer + "/" + keyword
            if keyword == "items", value.arrayValue != nil {
                fail("items is a list, which drafts since 2020-12 call prefixItems", place, "use prefixItems, or one schema for all items")
            } else {
                check(value, at: place, depth: depth + 1)
            }
        }
        for keyword in Self.lists {
            guard let value = schema[keyword] else { continue }
            guard let schemas = value.arrayValue, !schemas.isEmpty else {
                fail("\(keyword) is \(shown(value))", pointer + "/" + keyword, "give a list of at least one schema")
                continue
            }
            for (index, schema) in schemas.enumerated() where steps > 0 { check(schema, at: "\(pointer)/\(keyword)/\(index)", depth: depth + 1) }
        }
        for keyword in Self.maps {
            guard let value = schema[keyword] else { continue }
            guard let members = value.objectValue else {
                fail("\(keyword) is \(shown(value))", pointer + "/" + keyword, "give an object of schemas by name")
                continue
            }
            for (name, schema) in members.members where steps > 0 {
                check(schema, at: JSONPointer.appending(name, to: pointer + "/" + keyword), depth: depth + 1)
            }
        }
    }

    private mutating func checkType(_ schema: JSONValue, _ pointer: String) {
        guard let type = schema["type"] else { return }
        let place = pointer + "/type"
        let names = type.arrayValue ?? [type]
        if names.isEmpty { fail("type is an empty list", place, "name at least one type, or leave it out") }
        for name in names where !SchemaRules.types.contains(name.stringValue ?? "") {
            fail("\(shown(name)) is no type", place, "use one of " + SchemaRules.types.sorted().joined(separator: ", "))
        }
        if type.stringValue == "array", schema["items"] == nil, schema["prefixItems"] == nil {
            fail("an array without items, which VS Code and OpenAI refuse", pointer, #"add "items": {}, or say what they are"#, .warning)
        }
    }

    private mutating func checkRequired(_ schema: JSONValue, _ pointer: String) {
        guard let required = schema["required"] else { return }
        let place = pointer + "/required"
        guard let names = required.arrayValue, names.allSatisfy({ $0.stringValue != nil }) else {
            return fail("required is \(shown(required))", place, "give a list of names")
        }
        if Set(names.compactMap(\.stringValue)).count != names.count { fail("required names something twice", place, "name it once") }
        // Elsewhere a property may come from a part that stands beside this one.
        let isWhole = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties", "if"].allSatisfy { schema[$0] == nil }
        guard isWhole, schema["type"]?.stringValue == "object" else { return }
        let known = Set((schema["properties"]?.objectValue?.keys ?? []).map { Array($0.utf8) })
        steps -= names.count + known.count
        for name in names.compactMap(\.stringValue) where !known.contains(Array(name.utf8)) {
            fail("required names \(name), and properties has no such", place, "add \(name) to properties, or take it out of required")
        }
    }

    private mutating func checkValues(_ schema: JSONValue, _ pointer: String) {
        if let values = schema["enum"], values.arrayValue?.isEmpty != false {
            fail("enum is \(shown(values))", pointer + "/enum", "give a list of at least one value")
        }
        for keyword in Self.numbers {
            guard let value = schema[keyword], value.doubleValue == nil else { continue }
            let isOld = keyword.hasPrefix("exclusive") && value.boolValue != nil
            let remedy = isOld ? "give the limit itself: since draft 6 it is a number" : "give a number"
            fail("\(keyword) is \(shown(value))", pointer + "/" + keyword, remedy)
        }
        for keyword in Self.counts {
            guard let value = schema[keyword], (value.intValue ?? -1) < 0 else { continue }
            fail("\(keyword) is \(shown(value))", pointer + "/" + keyword, "give a whole number from 0 on")
        }
        for keyword in ["description", "title", "pattern", "format"] {
            guard let value = schema[keyword], value.stringValue == nil else { continue }
            fail("\(keyword) is \(shown(value))", pointer + "/" + keyword, "give a string")
        }
    }

    private func shown(_ value: JSONValue) -> String { Excerpt.of(value.text, 60) }
}
