import JSONText
import NIOCore

/// From the modern dialect to a child of the handshake revisions and back.
struct LegacyBack {
    let identity: ServerIdentity
    private let hasLogging: Bool
    /// The level last set by `logging/setLevel`.
    private var level: String?

    init(identity: ServerIdentity) {
        self.identity = identity
        hasLogging = identity.declares("logging")
    }

    /// Methods of the modern revision that have no counterpart here.
    func refuses(_ method: String) -> Bool {
        method.hasPrefix("tasks/")
    }

    /// The message for the child: own id and token, nothing that only the modern revision knows.
    func message(_ request: MCPRequest, id: Int) -> ByteBuffer {
        var request = request
        if request.envelope.inputResponses != nil || request.envelope.requestState != nil {
            request = request.removingParams(["inputResponses", "requestState"])
        }
        var splice = Splice()
        if let span = request.envelope.id { splice.replace(span, with: Array(String(id).utf8)) }
        guard let meta = request.envelope.meta else { return request.message.applying(splice, suffix: 1) }
        if let implied = request.implied {
            splice.remove(implied)
        } else if request.envelope.hasReservedMeta {
            let text = request.message.readableBytesSpan
            // The message was scanned, so walking it again cannot fail.
            try? splice.editObject(meta, in: text, removing: { $0.hasKeyPrefix("io.modelcontextprotocol/", in: text) })
        }
        if let token = request.envelope.progressToken { splice.replace(token, with: Array(String(id).utf8)) }
        return request.message.applying(splice, suffix: 1)
    }

    /// What must be said before a request with this level: levels are per request inside and per session here.
    mutating func levelChange(_ request: MCPRequest) -> String? {
        guard hasLogging, let wanted = request.envelope.logLevel, wanted != level, LogLevel.severity(wanted) != nil else { return nil }
        level = wanted
        return wanted
    }

    /// What the handshake revisions ask of servers. Of anything else a server that takes it for bad parameters only says that it does
    /// not know it: the Python SDK before 2.0 does.
    private static let methods: Set<String> = [
        "tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list", "resources/templates/list", "resources/read",
        "completion/complete",
    ]

    /// Errors in the modern dialect: "resource not found" has another code there and names the resource.
    func translated(_ error: MCPError, for entry: Correlator.Entry) -> MCPError {
        if error.code == MCPError.Code.invalidParams, !Self.methods.contains(entry.method) { return .methodNotFound(entry.method) }
        guard error.code == MCPError.Code.resourceNotFound, entry.method == "resources/read" else { return error }
        var translated = error
        translated.code = MCPError.Code.invalidParams
        if translated.data == nil, let uri = entry.uri {
            translated.data = JSONValue.object(["uri": .string(uri)]).buffer
        }
        return translated
    }
}
