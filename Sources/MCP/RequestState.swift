import Glibc
public import JSONText
public import NIOCore

/// `requestState` of multi round-trip requests (SEP-2322), for those who pass it on: what a server gives its client to bring back with
/// the answers to its questions.
public enum RequestState {
    /// Where a result has one: the span of the JSON string, quotes included; nil in any other result.
    ///
    /// A result is searched for the word first, which is much faster than reading it, and nearly none has it.
    public static func span(in result: ByteBuffer) -> JSONSpan? {
        guard mayContain(result, InputRequired.resultType) else { return nil }
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        guard let type = try? JSONMembers.value(of: "resultType", object: whole, in: text),
            JSONString.unquote(type, in: text) == InputRequired.resultType,
            let state = try? JSONMembers.value(of: "requestState", object: whole, in: text), text.byte(state) == UInt8(ascii: "\"")
        else { return nil }
        return state
    }

    /// The same result with another state.
    ///
    /// - Parameters:
    ///   - span: as ``span(in:)`` told it.
    ///   - state: not yet quoted.
    public static func replacing(_ span: JSONSpan, in result: ByteBuffer, with state: String) -> ByteBuffer {
        var splice = Splice()
        splice.replace(span, with: JSONString.quote(state))
        return result.applying(splice)
    }

    /// Whether a text may have a word in it; surely not when it answers no.
    ///
    /// A text full of the word's first letter is answered yes unread: looking at each would take longer than to read the whole as JSON.
    static func mayContain(_ text: ByteBuffer, _ word: String) -> Bool { text.withUnsafeReadableBytes { mayContain($0, word) } }

    private static func mayContain(_ bytes: UnsafeRawBufferPointer, _ word: String) -> Bool {
        var word = word
        return word.withUTF8 { word in
            guard let start = word.baseAddress, let base = bytes.baseAddress, bytes.count >= word.count else { return false }
            var patience = 64 + bytes.count / 8
            var position = 0
            let end = bytes.count - word.count + 1
            while position < end, let found = memchr(base + position, Int32(start.pointee), end - position) {
                let place = UnsafeRawPointer(found) - base
                patience -= 1
                if patience < 0 || memcmp(base + place, start, word.count) == 0 { return true }
                position = place + 1
            }
            return false
        }
    }
}

extension MCPRequest {
    /// `params.requestState`
    public var requestState: String? {
        envelope.requestState.flatMap { JSONString.unquote($0, in: message.readableBytesSpan) }
    }

    /// The same request with another state; unchanged when it has none.
    ///
    /// - Parameter json: a JSON string, quotes included.
    public func replacingRequestState(with json: [UInt8]) -> MCPRequest {
        guard let span = envelope.requestState else { return self }
        return spliced { $0.replace(span, with: json) }
    }
}
