import JSONText
import NIOCore

/// The questions of one `input_required` while a legacy client answers them, each as a request of ours on the stream of its call.
struct InputRound {
    /// Rounds of one call at most: a server that asks for ever is told no.
    static let maximumRounds = 10

    private let state: ByteBuffer?
    /// Not answered yet, by the id of our request.
    private var open: [Int: InputRequest] = [:]
    private var responses: [(key: String, value: ByteBuffer)] = []
    /// What the client answered with an error, which only a legacy server can be told as it is.
    private(set) var refused: [String: MCPError] = [:]

    /// - Parameter number: gives our request an id.
    init(_ required: InputRequired, number: () -> Int) {
        state = required.state
        for request in required.requests { open[number()] = request }
    }

    /// The questions, in the order of their ids, as whole messages.
    var messages: [ByteBuffer] {
        open.sorted { $0.key < $1.key }.map { id, request in
            JSONRPC.request(id: id, request.method, params: request.params ?? ByteBuffer(string: "{}"))
        }
    }

    var isAnswered: Bool { open.isEmpty }
    var openIDs: [Int] { open.keys.sorted() }

    /// The client's answer to our request.
    ///
    /// - Returns: False when it was not asked.
    mutating func answer(_ id: Int, _ answer: Result<ByteBuffer, MCPError>) -> Bool {
        guard let request = open.removeValue(forKey: id) else { return false }
        switch answer {
        case .success(let result): responses.append((request.key, result))
        case .failure(let error):
            refused[request.key] = error
            responses.append((request.key, InputResponse.refusal(error, for: request.method)))
        }
        return true
    }

    /// Nobody will answer what is open.
    mutating func giveUp() {
        let error = MCPError(code: MCPError.Code.internalError, message: "the client went away")
        for id in openIDs { _ = answer(id, .failure(error)) }
    }

    /// The same request again, with the answers.
    func retry(of original: MCPRequest) -> MCPRequest {
        var members: [(key: String, value: [UInt8])] = []
        if !responses.isEmpty { members.append(("inputResponses", objectText(responses.map { ($0.key, $0.value.bytes) }))) }
        if let state { members.append(("requestState", state.bytes)) }
        return original.addingParams(members)
    }
}

extension MCPRequest {
    /// The same request with further members of `params`.
    func addingParams(_ members: [(key: String, value: [UInt8])]) -> MCPRequest {
        guard !members.isEmpty else { return self }
        return spliced { splice in
            if let params = envelope.params {
                // The message was scanned, so walking it again cannot fail half-way.
                try? splice.editObject(params, in: message.readableBytesSpan, adding: members)
            } else if let method = envelope.methodSpan {
                splice.insert(Array(#","params":"#.utf8) + objectText(members), at: method.end)
            }
        }
    }
}
