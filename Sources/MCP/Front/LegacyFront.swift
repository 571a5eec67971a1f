import JSONText
import NIOCore

/// From the handshake revisions to the modern dialect and back: what a legacy client's messages become. Pure; `MCPFront` does the talking.
enum LegacyFront {
    /// Methods that the modern dialect answers otherwise or not at all and that no service is asked for.
    private static let refused: Set<String> = [
        "server/discover", "subscriptions/listen", "initialize",
    ]

    static func refuses(_ method: String) -> Bool {
        refused.contains(method) || method.hasPrefix("tasks/") || method.hasPrefix("notifications/") || method.hasPrefix(SessionWords.prefix)
    }

    /// The revision that answers `requested`: the same where we speak it, since clients disconnect from newer ones.
    static func negotiated(_ requested: String) -> String {
        ProtocolVersion.legacy.contains(requested) ? requested : ProtocolVersion.latestLegacy
    }

    /// What `initialize` says of the client.
    static func record(_ envelope: Envelope, _ message: ByteBuffer) throws(MCPError) -> LegacySessionRecord {
        guard let requested = envelope.initializeVersion else { throw .invalidParams("params.protocolVersion must be a string") }
        let declared = (envelope.initializeClientInfo?.count ?? 0) + (envelope.initializeCapabilities?.count ?? 0)
        guard declared <= CapabilityRules.maximumBytes else {
            throw .invalidParams("params.capabilities and params.clientInfo are longer than \(CapabilityRules.maximumBytes) bytes")
        }
        if let fault = envelope.initializeCapabilities.flatMap({ CapabilityRules.fault(in: $0, of: message.readableBytesSpan) }) {
            throw .invalidParams("params.capabilities\(fault)")
        }
        let record = LegacySessionRecord(
            protocolVersion: negotiated(requested), clientInfo: envelope.initializeClientInfo.map(message.copy),
            clientCapabilities: envelope.initializeCapabilities.map(message.copy) ?? ByteBuffer(string: "{}"))
        guard record.meta.isReadable else { throw .invalidParams("params.capabilities or params.clientInfo is nested too deep") }
        return record
    }

    /// The capabilities that servers may rely on. The tasks of 2025-11-25 are another wire than the modern extension.
    ///
    /// - Parameter canBeAsked: false for a message of a batch, whose answer cannot carry questions.
    static func declared(_ capabilities: ByteBuffer, canBeAsked: Bool) -> ByteBuffer {
        capabilities.removingMembers { $0 == "tasks" || (!canBeAsked && ["elicitation", "sampling", "roots"].contains($0)) }
    }

    /// The request in the modern dialect: everything that its session implies is said in its `_meta`.
    static func modernised(
        _ message: ByteBuffer, _ envelope: Envelope, method: String, record: LegacySessionRecord, capabilities: ByteBuffer, logLevel: String
    ) -> MCPRequest {
        let meta = capabilities == record.declared ? record.meta : ImpliedMeta(capabilities: capabilities, clientInfo: record.clientInfo)
        return meta.said(in: MCPRequest(message: message, envelope: envelope, method: method), logLevel: logLevel)
    }

    /// Errors as these revisions write them: a resource that is not found has a code of its own.
    static func translated(_ error: MCPError, method: String) -> MCPError {
        guard method == "resources/read", error.code == MCPError.Code.invalidParams, let data = error.data,
            let value = try? JSONValue(parsing: data.readableBytesSpan), value["uri"] != nil
        else { return error }
        var translated = error
        translated.code = MCPError.Code.resourceNotFound
        return translated
    }
}
