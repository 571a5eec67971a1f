/// One thing found out about a server.
public struct Finding: Sendable, Equatable {
    /// What it means for whoever hosts or calls the server.
    public enum Severity: String, Sendable, CaseIterable {
        case pass, note, warning, failure
        /// Not found out, for the reason in the text.
        case skipped
    }

    /// `group.check`, the same in every version.
    public var id: String
    public var severity: Severity
    /// One line.
    public var text: String
    /// What to change, one line.
    public var remedy: String?
    /// The tool that it is about.
    public var tool: String?
    /// Where in the tool's definition: a JSON pointer.
    public var pointer: String?

    public init(_ id: String, _ severity: Severity, _ text: String, remedy: String? = nil, tool: String? = nil, pointer: String? = nil) {
        self.id = id
        self.severity = severity
        self.text = text
        self.remedy = remedy
        self.tool = tool
        self.pointer = pointer
    }

    /// The part of the identifier before the point.
    public var group: String { id.split(separator: ".").first.map(String.init) ?? id }

    /// The text with the tool and the place that it is about.
    public var line: String {
        guard let tool else { return text }
        return pointer.map { "\(tool) \($0): \(text)" } ?? "\(tool): \(text)"
    }
}
