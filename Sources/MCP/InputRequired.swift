import JSONText
import NIOCore

/// One question of a server to the client of a call: `elicitation/create`, `sampling/createMessage` or `roots/list`.
struct InputRequest: Sendable {
    /// Its name among the questions of one result.
    var key: String
    var method: String
    /// JSON object text.
    var params: ByteBuffer?
}

extension MCPOutcome {
    /// Whether this is an answer that asks the call's client for more.
    public var asksClient: Bool { if case .result(let result) = self { InputRequired.isOne(result) } else { false } }
}

/// `InputRequiredResult` of revision 2026-07-28: a call that cannot go on without its client (SEP-2322, multi round-trip requests).
struct InputRequired: Sendable {
    static let resultType = "input_required"
    /// Questions in one result at most.
    static let maximumCount = 16
    /// The only requests that may be answered so.
    static let methods: Set<String> = ["tools/call", "prompts/get", "resources/read"]

    var requests: [InputRequest]
    /// What the client must send back as it is: a JSON string, quotes included.
    var state: ByteBuffer?
    /// The call goes on at its server meanwhile.
    var isPending = false

    /// The `result` member.
    var result: ByteBuffer {
        var out = ByteBuffer(string: #"{"resultType":"input_required""#)
        if !requests.isEmpty {
            out.writeStaticString(#","inputRequests":{"#)
            for (index, request) in requests.enumerated() {
                if index > 0 { out.writeStaticString(",") }
                out.writeBytes(JSONString.quote(request.key))
                out.writeStaticString(#":{"method":"#)
                out.writeBytes(JSONString.quote(request.method))
                if let params = request.params {
                    out.writeStaticString(#","params":"#)
                    out.writeImmutableBuffer(params)
                }
                out.writeStaticString("}")
            }
            out.writeStaticString("}")
        }
        if let state {
            out.writeStaticString(#","requestState":"#)
            out.writeImmutableBuffer(state)
        }
        if isPending { out.writeString(#","_meta":{"\#(PendingCall.mark)":true}"#) }
        out.writeStaticString("}")
        return out
    }
}

extension InputRequired {
    fileprivate static func isOne(_ result: ByteBuffer) -> Bool {
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        guard let type = try? JSONMembers.value(of: "resultType", object: whole, in: text) else { return false }
        return JSONString.unquote(type, in: text) == resultType
    }

    /// Reads a result; `nil` when it is not one of these or cannot be answered.
    init?(result: ByteBuffer) {
        guard Self.isOne(result) else { return nil }
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        requests = []
        do {
            if let span = try JSONMembers.value(of: "requestState", object: whole, in: text), text.byte(span) == UInt8(ascii: "\"") {
                state = result.slice(span)
            }
            if let span = try JSONMembers.value(of: "inputRequests", object: whole, in: text) {
                guard text.byte(span) == UInt8(ascii: "{") else { return nil }
                var members = JSONMembers(of: span)
                while let member = try members.next(in: text) {
                    guard requests.count < Self.maximumCount, let key = member.keyString(in: text), text.byte(member.value) == UInt8(ascii: "{"),
                        let name = try JSONMembers.value(of: "method", object: member.value, in: text),
                        let method = JSONString.unquote(name, in: text)
                    else { return nil }
                    let params = try JSONMembers.value(of: "params", object: member.value, in: text)
                    requests.append(InputRequest(key: key, method: method, params: params.map(result.slice)))
                }
            }
        } catch {
            return nil
        }
        if requests.isEmpty && state == nil { return nil }
        isPending = PendingCall.isMarked(result)
    }
}

extension InputRequired {
    /// Why a client that declared this cannot be asked that: it may be asked what it declared, and nothing else.
    static func refusal(of requests: some Sequence<InputRequest>, by able: ClientCapabilities) -> MCPError? {
        var missing: ClientCapabilities = []
        for request in requests {
            guard let needed = ClientCapabilities.needed(for: request.method, params: request.params) else {
                return .internalError("the server asks for \(request.method.prefix(128)), which no client can be asked")
            }
            missing.formUnion(needed.subtracting(able))
        }
        return missing.isEmpty ? nil : .missingCapabilities(missing)
    }

    /// The same of a result's text, which is one of these.
    static func refusal(of result: ByteBuffer, by able: ClientCapabilities) -> MCPError? {
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        var requests: [InputRequest] = []
        do {
            guard let span = try JSONMembers.value(of: "inputRequests", object: whole, in: text) else { return nil }
            guard text.byte(span) == UInt8(ascii: "{") else { return unreadable }
            var members = JSONMembers(of: span)
            while let member = try members.next(in: text) {
                guard text.byte(member.value) == UInt8(ascii: "{"), let name = try JSONMembers.value(of: "method", object: member.value, in: text),
                    let method = JSONString.unquote(name, in: text)
                else { return unreadable }
                let params = try JSONMembers.value(of: "params", object: member.value, in: text)
                if let params, text.byte(params) != UInt8(ascii: "{") { return unreadable }
                requests.append(InputRequest(key: "", method: method, params: params.map(result.slice)))
            }
        } catch {
            return unreadable
        }
        return refusal(of: requests, by: able)
    }

    private static var unreadable: MCPError { .internalError("the server's question cannot be read") }
}

/// One answer to such a question, as it stands in `params.inputResponses`.
enum InputResponse {
    /// A member of a response of our own making that stands for a JSON-RPC error: the modern dialect has no other way to hand on
    /// what a legacy client answered a legacy server.
    static let errorKey = "berth/error"

    /// The response that stands for an error.
    ///
    /// - Parameter isOurs: a service of ours reads it. To a modern server it is an elicitation that was cancelled, and nothing else.
    /// - Returns: nil where there is no such word: the question stays without an answer.
    static func refusal(_ error: MCPError, for method: String, isOurs: Bool) -> ByteBuffer? {
        guard isOurs else { return method == "elicitation/create" ? ByteBuffer(string: #"{"action":"cancel"}"#) : nil }
        var out = ByteBuffer(string: #"{"\#(errorKey)":{"code":\#(error.code),"message":"#)
        out.writeBytes(JSONString.quote(error.message))
        out.writeStaticString("}}")
        return out
    }

    /// The error that a response of ours stands for.
    static func error(_ response: ByteBuffer) -> MCPError? {
        let text = response.readableBytesSpan
        let whole = JSONSpan(start: 0, end: response.readableBytes)
        if let span = try? JSONMembers.value(of: "berth/error", object: whole, in: text) { return MCPError(object: span, in: response) }
        guard let meta = try? JSONMembers.value(of: "_meta", object: whole, in: text), text.byte(meta) == UInt8(ascii: "{"),
            let span = try? JSONMembers.value(of: "berth/error", object: meta, in: text)
        else { return nil }
        return MCPError(object: span, in: response)
    }

    /// Whether a response has the form that its question asks for; what has not is asked for again.
    static func isValid(_ response: ByteBuffer, for method: String) -> Bool {
        let text = response.readableBytesSpan
        let whole = JSONSpan(start: 0, end: response.readableBytes)
        guard text.byte(whole) == UInt8(ascii: "{") else { return false }
        func first(_ name: StaticString) -> UInt8? {
            (try? JSONMembers.value(of: name, object: whole, in: text)).flatMap { $0 }.map { text.byte($0) }
        }
        if first("berth/error") == UInt8(ascii: "{") { return true }
        switch method {
        case "elicitation/create":
            let action = (try? JSONMembers.value(of: "action", object: whole, in: text)).flatMap { $0 }.flatMap { JSONString.unquote($0, in: text) }
            let content = first("content")
            return ["accept", "decline", "cancel"].contains(action) && (content == nil || content == UInt8(ascii: "{"))
        case "sampling/createMessage":
            let content = first("content")
            return first("role") == UInt8(ascii: "\"") && (content == UInt8(ascii: "{") || content == UInt8(ascii: "["))
        case "roots/list": return first("roots") == UInt8(ascii: "[")
        default: return false
        }
    }
}
