import JSONText
import NIOCore

/// The tasks extension of the modern dialect, which is passed on: its server alone decides to make a task of a call.
enum Tasks {
    /// Of the result that stands for a call's own.
    static let resultType = "task"

    static func isMethod(_ method: String) -> Bool { method.hasPrefix("tasks/") }

    /// Whether a client knows what to do with a task.
    ///
    /// - Parameter capabilities: the text of the object that it declared.
    static func isDeclared(_ capabilities: ByteBuffer?) -> Bool {
        guard let capabilities else { return false }
        let text = capabilities.readableBytesSpan
        func member(_ name: StaticString, of span: JSONSpan) -> JSONSpan? {
            guard let value = try? JSONMembers.value(of: name, object: span, in: text), text.byte(value) == UInt8(ascii: "{") else { return nil }
            return value
        }
        let extensions = member("extensions", of: JSONSpan(start: 0, end: capabilities.readableBytes))
        return extensions.flatMap { member("io.modelcontextprotocol/tasks", of: $0) } != nil
    }

    /// What a client hears that would wait for a result which never comes.
    static let undeclared = MCPError(
        code: MCPError.Code.missingClientCapability,
        message: "Missing required client capability: the server made a task of the call, which goes on there",
        data: ByteBuffer(string: #"{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#))
}
