import JSONText
import NIOCore

extension MCPRequest {
    /// No call of its own: who asks a client for a server waits so for the server to need no answer any more.
    public var isWait: Bool { PendingCall.isMeant(by: self) }
}

/// A call that goes on at its server while its client is asked, as only servers of the handshake revisions have them: `input_required` ended
/// it towards the client, and its server may answer all the same, without the client's answers.
///
/// Who asks the client learns of that by waiting: with the same request again, its state included, and one word in place of the answers. That
/// ends as soon as no answer is needed any more, and brings nothing: the outcome comes with the round that follows, as always.
enum PendingCall {
    /// In the `_meta` of an `input_required`: its call goes on meanwhile. For fronts of ours, and no client.
    static let mark: StaticString = "berth/pending"
    /// In place of the answers of a round: none, but tell me when none is needed.
    static let wait = "berth/wait"
    private static let settledType = "berth/settled"

    /// Whether a request is such a wait.
    static func isMeant(by request: MCPRequest) -> Bool {
        request.envelope.inputResponses != nil && request.inputResponses[wait] != nil
    }

    /// Whether a client uses a name of ours among its answers.
    static func isForged(in request: MCPRequest) -> Bool {
        request.envelope.inputResponses != nil && request.inputResponses.keys.contains { $0.hasPrefix(SessionWords.prefix) }
    }

    /// How such a wait ends: the question was taken back, or its server is gone.
    static var settled: MCPOutcome { .result(ByteBuffer(string: #"{"resultType":"\#(settledType)"}"#)) }
    /// The same where the call has its answer, and its server has taken nothing back: it may still wait.
    static var answered: MCPOutcome { .result(ByteBuffer(string: #"{"resultType":"\#(settledType)","isAnswered":true}"#)) }

    /// - Returns: Nil when a result is neither of these.
    static func isAnswered(_ result: ByteBuffer) -> Bool? {
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        guard let type = try? JSONMembers.value(of: "resultType", object: whole, in: text), JSONString.unquote(type, in: text) == settledType
        else { return nil }
        return ((try? JSONMembers.value(of: "isAnswered", object: whole, in: text)) ?? nil) != nil
    }

    /// Whether a server has given its result a mark that is ours alone: a second call would be made for it, which nobody asked for.
    static func isForged(in result: ByteBuffer) -> Bool { RequestState.mayContain(result, "\(mark)") && isMarked(result) }

    /// Whether a result has the mark.
    static func isMarked(_ result: ByteBuffer) -> Bool {
        let text = result.readableBytesSpan
        guard let meta = try? JSONMembers.value(of: "_meta", object: JSONSpan(start: 0, end: result.readableBytes), in: text),
            text.byte(meta) == UInt8(ascii: "{"), let value = try? JSONMembers.value(of: mark, object: meta, in: text)
        else { return false }
        return text.byte(value) == UInt8(ascii: "t")
    }
}
