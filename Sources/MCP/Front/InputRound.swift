import JSONText
import NIOCore

/// The questions of one `input_required` while a legacy client answers them, each as a request of ours on the stream of its call.
struct InputRound {
    /// Rounds of one call at most: a server that asks for ever is told no.
    static let maximumRounds = 10

    private let state: ByteBuffer?
    /// Asked by a server of the handshake revisions, behind a service of ours: that one alone is told an error as it is.
    private let isPending: Bool
    /// Not answered yet, by the id of our request.
    private var open: [Int: InputRequest] = [:]
    private var responses: [(key: String, value: ByteBuffer)] = []
    /// What the client answered with an error, which only a legacy server can be told as it is.
    private(set) var refused: [String: MCPError] = [:]

    /// - Parameters:
    ///   - able: what the client declared; a server that asks for anything else is told no, and the client hears nothing of it.
    ///   - number: gives our request an id.
    init(_ required: InputRequired, able: ClientCapabilities, number: () -> Int) {
        state = required.state
        isPending = required.isPending
        for request in required.requests {
            if let needed = ClientCapabilities.needed(for: request.method, params: request.params), able.isSuperset(of: needed) {
                open[number()] = request
            } else {
                refuse(request, .methodNotFound(request.method))
            }
        }
    }

    private mutating func refuse(_ request: InputRequest, _ error: MCPError) {
        refused[request.key] = error
        if let response = InputResponse.refusal(error, for: request.method, isOurs: isPending) { responses.append((request.key, response)) }
    }

    /// The questions, in the order of their ids, as whole messages.
    var messages: [ByteBuffer] {
        open.sorted { $0.key < $1.key }.map { id, request in
            JSONRPC.request(id: id, request.method, params: request.params ?? ByteBuffer(string: "{}"))
        }
    }

    var isAnswered: Bool { open.isEmpty }
    /// Whether its server is told anything.
    var hasResponses: Bool { !responses.isEmpty }
    var openIDs: [Int] { open.keys.sorted() }

    /// The client's answer to our request.
    ///
    /// - Returns: False when it was not asked.
    mutating func answer(_ id: Int, _ answer: Result<ByteBuffer, MCPError>) -> Bool {
        guard let request = open.removeValue(forKey: id) else { return false }
        switch answer {
        case .success(let result): responses.append((request.key, result))
        case .failure(let error): refuse(request, error)
        }
        return true
    }

    /// Nobody will answer what is open.
    mutating func giveUp(_ reason: String) {
        let error = MCPError(code: MCPError.Code.internalError, message: reason)
        for id in openIDs { _ = answer(id, .failure(error)) }
    }

    /// The call is over, and its questions stay with the client: whose they are nobody knows but the server, which may still wait.
    ///
    /// - Returns: What is open no more here, by the ids of our requests, with the handles that the server's side is told.
    mutating func handOver() -> [Int: (request: InputRequest, handle: String)] {
        let kept = open.mapValues { (request: $0, handle: RandomID.hex128()) }
        open = [:]
        let handles = kept.values.map { (key: $0.request.key, value: JSONString.quote($0.handle)) }
        responses.append((SessionWords.keep, ByteBuffer(bytes: objectText(handles))))
        return kept
    }

    /// What tells when the server needs no answer any more; nil without a state.
    func wait(of original: MCPRequest) -> MCPRequest? {
        guard let state else { return nil }
        let wait = original.settingParams([("inputResponses", Array(#"{"\#(PendingCall.wait)":{}}"#.utf8)), ("requestState", state.bytes)])
        // As it was it would run anew.
        return wait.isWait ? wait : nil
    }

    /// The same request again, with the answers; nil when it would be larger than a message may be. Without them it would run anew.
    func retry(of original: MCPRequest) -> MCPRequest? {
        var members: [(key: String, value: [UInt8])] = []
        if !responses.isEmpty { members.append(("inputResponses", objectText(responses.map { ($0.key, $0.value.bytes) }))) }
        if let state { members.append(("requestState", state.bytes)) }
        let again = original.settingParams(members)
        return again.message == original.message ? nil : again
    }
}

extension MCPRequest {
    /// The same request without these members of `params`.
    func removingParams(_ names: Set<String>) -> MCPRequest {
        guard let params = envelope.params else { return self }
        let text = message.readableBytesSpan
        return spliced { splice in
            // The message was scanned, so walking it again cannot fail half-way.
            try? splice.editObject(params, in: text, removing: { $0.keyString(in: text).map(names.contains) ?? false })
        }
    }

    /// The same request with these members of `params`, in place of those of the same names; unchanged when no message can be made of it.
    func settingParams(_ members: [(key: String, value: [UInt8])]) -> MCPRequest {
        guard !members.isEmpty else { return self }
        return spliced { splice in
            if let params = envelope.params {
                // The message was scanned, so walking it again cannot fail half-way.
                let names = members.map(\.key)
                try? splice.editObject(
                    params, in: message.readableBytesSpan, removing: { $0.keyString(in: message.readableBytesSpan).map(names.contains) ?? false },
                    adding: members)
            } else if let method = envelope.methodSpan {
                splice.insert(Array(#","params":"#.utf8) + objectText(members), at: method.end)
            }
        }
    }
}
