import JSONText

/// Which era a request at our own endpoint belongs to.
enum EraRouting {
    enum Route: Equatable {
        case legacy
        case modern
        /// A modern body under a legacy version header and without a session: a widespread client sends it (the header is not compared).
        case modernTolerated
    }

    /// Whether a version header alone makes a request modern: everything but the four handshake revisions.
    static func isModern(header: String?) -> Bool {
        header.map { !ProtocolVersion.legacy.contains($0) } ?? false
    }

    static func route(header: String?, sessionID: String?, envelope: Envelope, tolerant: Bool) -> Route {
        if isModern(header: header) { return .modern }
        guard let version = envelope.protocolVersion else { return .legacy }
        if tolerant, header != nil, sessionID == nil, version == ProtocolVersion.modern { return .modernTolerated }
        return .modern
    }
}
