public import JSONText
public import NIOCore

extension MCPError {
    /// Codes of JSON-RPC and of MCP, and our own two, which stay outside the range both reserve.
    public enum Code {
        public static let parseError = -32700
        public static let invalidRequest = -32600
        public static let methodNotFound = -32601
        public static let invalidParams = -32602
        public static let internalError = -32603
        /// Legacy revisions: what a client reads as "initialize again", beside status 404.
        public static let sessionNotFound = -32001
        /// Legacy revisions; modern ones say `invalidParams`.
        public static let resourceNotFound = -32002
        /// Revision 2025-11-25 alone.
        public static let urlElicitationRequired = -32042
        public static let headerMismatch = -32020
        public static let missingClientCapability = -32021
        public static let unsupportedProtocolVersion = -32022
        public static let notDelivered = 1001
        public static let outcomeUnknown = 1002
    }

    public static func parseError(_ detail: String) -> MCPError { MCPError(code: Code.parseError, message: "Parse error: \(detail)") }
    public static func invalidRequest(_ detail: String) -> MCPError { MCPError(code: Code.invalidRequest, message: "Invalid request: \(detail)") }
    /// - Parameter method: what the client wrote; of a long one only the beginning is said.
    public static func methodNotFound(_ method: String) -> MCPError {
        let short = method.utf8.count <= 128 ? method : String(decoding: method.utf8.prefix(128), as: UTF8.self) + "…"
        return MCPError(code: Code.methodNotFound, message: "Method not found: \(short)")
    }
    public static func invalidParams(_ detail: String) -> MCPError { MCPError(code: Code.invalidParams, message: "Invalid params: \(detail)") }
    /// A client of 2026-07-28 is needed that can be asked for more than this one declared.
    static func missingCapabilities(_ missing: ClientCapabilities) -> MCPError {
        MCPError(
            code: Code.missingClientCapability, message: "Missing required client capability: the server asks for \(missing.words)",
            data: JSONValue.object(["requiredCapabilities": missing.object]).buffer)
    }
    static let sessionEnded = MCPError(Undelivered(.notDelivered, "the session has ended"))
    public static func internalError(_ detail: String) -> MCPError { MCPError(code: Code.internalError, message: "Internal error: \(detail)") }

    /// What a client is told of a call that did not come back: code 1001 or 1002, and `data` with the word in `error`.
    public init(_ undelivered: Undelivered) {
        let data = JSONValue.record(
            ("error", .string(undelivered.kind.rawValue)), ("message", .string(undelivered.text)), ("incident", undelivered.incident.map { .string($0) }),
            ("reason", undelivered.code.map { .string($0) }), ("retry_after", undelivered.retryAfterSeconds.map { .int($0) }))
        self.init(code: undelivered.kind == .notDelivered ? Code.notDelivered : Code.outcomeUnknown, message: undelivered.text, data: data.buffer)
    }

    /// What the sender of a refused text is told.
    init(_ error: ScanError) {
        switch error.reason {
        case .invalidParams: self = .invalidParams(error.reason.rawValue)
        default: self = error.isMalformed ? .parseError("\(error.reason.rawValue) at byte \(error.offset)") : .invalidRequest(error.reason.rawValue)
        }
    }

    /// Reads an `error` member.
    public init(object: JSONSpan, in message: ByteBuffer) {
        self.init(code: Code.internalError, message: "the server answered with an error that could not be read")
        let text = message.readableBytesSpan
        var members = JSONMembers(of: object)
        do {
            while let member = try members.next(in: text) {
                if member.hasKey("code", in: text) {
                    code = Int(String(decoding: text.copy(member.value), as: UTF8.self)) ?? code
                } else if member.hasKey("message", in: text) {
                    self.message = JSONString.unquote(member.value, in: text) ?? self.message
                } else if member.hasKey("data", in: text) {
                    data = message.slice(member.value)
                }
            }
        } catch {
            // The scanner accepted the text, so nothing is left to throw; what was read so far stands.
            return
        }
    }
}
