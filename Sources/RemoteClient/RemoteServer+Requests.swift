import JSONText
import MCP
import NIOCore

/// Lines as requests.
extension RemoteServer {
    /// Messages without an answer that may be on their way at once.
    private static let mostOthers = 64
    private static let named: Set = ["tools/call", "prompts/get", "resources/read", "tasks/get", "tasks/update", "tasks/cancel"]

    func post(_ line: ByteBuffer) {
        guard let envelope = try? EnvelopeScanner.scan(line.readableBytesSpan) else { return }
        let id = envelope.kind == .request ? envelope.id.flatMap { Int(String(decoding: line.readableBytesSpan.copy($0), as: UTF8.self)) } : nil
        if envelope.method == "notifications/cancelled" {
            // Closing the stream is what the stateless revision knows as cancelling, and nothing else comes on it in the others.
            let cancelled = envelope.requestID.flatMap { Int(String(decoding: line.readableBytesSpan.copy($0), as: UTF8.self)) }
            cancelled.flatMap { posts.removeValue(forKey: $0) }?.cancel()
            if era == .modern { return }
        }
        let request = RemoteRequest("POST", method: envelope.method ?? "", id: id, body: line)
        let post = answered(request, headers: headers(line, envelope))
        if let id {
            posts[id] = post
        } else {
            // A server that asks and takes no answer gets no more of them; its client's own notices are few.
            guard envelope.method != nil || others.count < Self.mostOthers else { return }
            others[ObjectIdentifier(post)] = post
        }
        if envelope.method == "notifications/initialized" { run(session.announced()) }
        if let id, let call = session.back.caller(of: id).flatMap({ calls[$0] }), let told = call.onDelivery {
            call.onDelivery = nil
            told()
        }
        sender.send(post, to: session.endpoint)
    }

    /// A request whose answer is the protocol's.
    func answered(_ request: RemoteRequest, headers: [(String, String)]) -> RemotePost {
        RemotePost(
            request, headers: headers, message: { [weak self] in self?.received($1, from: $0) ?? .more },
            end: { [weak self] in self?.ended($0, $1) })
    }

    private func headers(_ line: ByteBuffer, _ envelope: Envelope) -> [(String, String)] {
        var headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
        guard let version = envelope.protocolVersion, let method = envelope.method else { return headers + session.headers }
        headers += [("mcp-protocol-version", version), ("mcp-method", method)]
        if let name = envelope.name ?? envelope.uri ?? envelope.taskID, Self.named.contains(method) {
            headers.append(("mcp-name", HeaderValue.encode(name)))
        }
        if method == "tools/call", let rules = parameterHeaders[envelope.name ?? ""] {
            let arguments = envelope.arguments.map { ByteBuffer(bytes: line.readableBytesSpan.copy($0)) }
            headers += rules.headers(for: arguments)
        }
        return headers
    }
}
