public import JSONText

/// A form that a server wants filled in (`elicitation/create`, mode `form`): fields of simple types, and what may stand in them. Pure.
public struct ElicitationForm: Sendable, Equatable {
    public struct Choice: Sendable, Equatable {
        public var value: String
        public var title: String?
    }

    public enum Kind: Sendable, Equatable {
        case text(format: String?, shortest: Int?, longest: Int?)
        case number(isInteger: Bool, least: Double?, most: Double?)
        case boolean
        case one([Choice])
        case several([Choice], least: Int?, most: Int?)
    }

    public struct Field: Sendable, Equatable {
        public var name: String
        public var title: String?
        public var detail: String?
        public var kind: Kind
        public var isRequired: Bool
        public var preset: JSONValue?
    }

    /// Why an answer cannot stand, as a clause.
    public struct Complaint: Error, Sendable, Equatable {
        public var text: String

        public init(text: String) { self.text = text }
    }

    public var fields: [Field] = []

    /// - Parameter schema: `params.requestedSchema`; a property of a type that forms do not have is asked for as text.
    public init(schema: JSONValue?) {
        let required = Set(schema?["required"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        for (name, property) in schema?["properties"]?.objectValue?.members ?? [] {
            fields.append(
                Field(
                    name: name, title: property["title"]?.stringValue, detail: property["description"]?.stringValue,
                    kind: Self.kind(property), isRequired: required.contains(name), preset: property["default"]))
        }
    }

    private static func kind(_ property: JSONValue) -> Kind {
        if let choices = choices(property) { return .one(choices) }
        switch property["type"]?.stringValue {
        case "boolean": return .boolean
        case "integer", "number":
            return .number(
                isInteger: property["type"]?.stringValue == "integer", least: property["minimum"]?.doubleValue, most: property["maximum"]?.doubleValue)
        case "array":
            return .several(
                property["items"].flatMap(choices) ?? [], least: property["minItems"]?.intValue, most: property["maxItems"]?.intValue)
        default:
            return .text(
                format: property["format"]?.stringValue, shortest: property["minLength"]?.intValue, longest: property["maxLength"]?.intValue)
        }
    }

    private static func choices(_ property: JSONValue) -> [Choice]? {
        if let titled = (property["oneOf"] ?? property["anyOf"])?.arrayValue {
            let found = titled.compactMap { entry in entry["const"]?.stringValue.map { Choice(value: $0, title: entry["title"]?.stringValue) } }
            if !found.isEmpty { return found }
        }
        guard let values = property["enum"]?.arrayValue?.compactMap(\.stringValue), !values.isEmpty else { return nil }
        let titles = property["enumNames"]?.arrayValue?.map(\.stringValue) ?? []
        return values.enumerated().map { Choice(value: $1, title: $0 < titles.count ? titles[$0] : nil) }
    }

    // MARK: Answers

    /// The content of an accepted form from values given beforehand, defaults where none is given.
    public func content(from answers: JSONObject) throws(Complaint) -> JSONObject {
        var content = JSONObject()
        for field in fields {
            if let value = answers[field.name] {
                if let complaint = field.complaint(about: value) { throw Complaint(text: "\(field.name) \(complaint)") }
                content[field.name] = value
            } else if let preset = field.preset {
                content[field.name] = preset
            } else if field.isRequired {
                throw Complaint(text: "\(field.name) has no answer and no default")
            }
        }
        return content
    }
}

extension ElicitationForm.Field {
    /// What is asked for, without the default: `name (one of: red, green; required)`.
    public var question: String { described(list: "any of, with commas") }

    /// The same for who answers in JSON.
    public var inJSON: String { described(list: "a list of any of") }

    private func described(list: String) -> String {
        var parts: [String] = []
        switch kind {
        case .text(let format, let shortest, let longest):
            parts.append(format ?? "text")
            if let shortest { parts.append("at least \(shortest) characters") }
            if let longest { parts.append("at most \(longest) characters") }
        case .number(let isInteger, let least, let most):
            parts.append(isInteger ? "integer" : "number")
            if let least { parts.append("at least \(Self.text(least))") }
            if let most { parts.append("at most \(Self.text(most))") }
        case .boolean: parts.append("yes or no")
        case .one(let choices): parts.append("one of: " + Self.text(choices))
        case .several(let choices, _, _): parts.append("\(list): " + Self.text(choices))
        }
        if isRequired { parts.append("required") }
        return "\(title.map { "\($0) [\(name)]" } ?? name) (\(parts.joined(separator: "; ")))"
    }

    /// The default as somebody would type it.
    public var presetText: String? {
        guard let preset else { return nil }
        if let list = preset.arrayValue { return list.compactMap(\.stringValue).joined(separator: ", ") }
        if let flag = preset.boolValue { return flag ? "yes" : "no" }
        return preset.stringValue ?? preset.text
    }

    /// The value that a typed line stands for; nil when the field is left out.
    public func value(of line: String) throws(ElicitationForm.Complaint) -> JSONValue? {
        let text = Self.trimmed(line)
        if text.isEmpty {
            if let preset { return preset }
            if !isRequired { return nil }
            throw ElicitationForm.Complaint(text: "an answer is required")
        }
        let value = try parsed(text)
        if let complaint = complaint(about: value) { throw ElicitationForm.Complaint(text: complaint) }
        return value
    }

    private func parsed(_ text: String) throws(ElicitationForm.Complaint) -> JSONValue {
        switch kind {
        case .text: return .string(text)
        case .number:
            guard let value = try? JSONValue(parsing: text), case .number = value else { throw ElicitationForm.Complaint(text: "is no number") }
            return value
        case .boolean:
            switch text.lowercased() {
            case "y", "yes", "true", "1": return true
            case "n", "no", "false", "0": return false
            default: throw ElicitationForm.Complaint(text: "is neither yes nor no")
            }
        case .one(let choices): return .string(Self.pick(text, choices))
        case .several(let choices, _, _):
            return .array(text.split(separator: ",").map { .string(Self.pick(Self.trimmed(String($0)), choices)) })
        }
    }

    /// What is wrong with a value, as a clause; nil when nothing is.
    func complaint(about value: JSONValue) -> String? {
        switch kind {
        case .text(let format, let shortest, let longest):
            guard let text = value.stringValue else { return "must be a text" }
            if let format, let wanted = TextFormat.complaint(about: text, format: format) { return wanted }
            if let shortest, text.unicodeScalars.count < shortest { return "must have at least \(shortest) characters" }
            if let longest, text.unicodeScalars.count > longest { return "must have at most \(longest) characters" }
        case .number(let isInteger, let least, let most):
            guard let number = value.doubleValue, case .number = value else { return "must be a number" }
            if isInteger, number != number.rounded() { return "must be an integer" }
            if let least, number < least { return "must be at least \(Self.text(least))" }
            if let most, number > most { return "must be at most \(Self.text(most))" }
        case .boolean:
            if value.boolValue == nil { return "must be true or false" }
        case .one(let choices):
            guard let text = value.stringValue, choices.contains(where: { $0.value == text }) else { return "must be one of: " + Self.text(choices) }
        case .several(let choices, let least, let most):
            guard let list = value.arrayValue else { return "must be a list" }
            let isKnown = choices.isEmpty || list.allSatisfy { item in choices.contains { $0.value == item.stringValue } }
            if !isKnown { return "may hold only: " + Self.text(choices) }
            if let least, list.count < least { return "must hold at least \(least)" }
            if let most, list.count > most { return "may hold at most \(most)" }
        }
        return nil
    }

    /// A choice may be named by its value, its title or its place in the list; in that order.
    private static func pick(_ text: String, _ choices: [ElicitationForm.Choice]) -> String {
        if choices.contains(where: { $0.value == text }) { return text }
        if let titled = choices.first(where: { $0.title?.lowercased() == text.lowercased() }) { return titled.value }
        if let place = Int(text), choices.indices.contains(place - 1) { return choices[place - 1].value }
        return text
    }

    private static func text(_ choices: [ElicitationForm.Choice]) -> String {
        choices.map { choice in choice.title.map { "\(choice.value) (\($0))" } ?? choice.value }.joined(separator: ", ")
    }

    private static func text(_ number: Double) -> String {
        Int(exactly: number).map { String($0) } ?? "\(number)"
    }

    private static func trimmed(_ text: String) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}
