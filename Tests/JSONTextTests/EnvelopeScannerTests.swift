import JSONText
import Testing

private func scan(_ text: String, limits: ScanLimits = ScanLimits()) throws(ScanError) -> Envelope {
    try EnvelopeScanner.scan(Array(text.utf8).span.bytes, limits: limits)
}

private func refusal(_ bytes: [UInt8], limits: ScanLimits = ScanLimits()) -> ScanError? {
    do throws(ScanError) {
        _ = try EnvelopeScanner.scan(bytes.span.bytes, limits: limits)
        return nil
    } catch {
        return error
    }
}

private func refusal(_ text: String) -> ScanError? { refusal(Array(text.utf8)) }

@Suite struct EnvelopeScannerTests {
    @Test func findsEverythingOfAModernCall() throws {
        let text = """
            {"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"crm_search","arguments":{"q":[1,{"name":"inner"}]},"_meta":{
            "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},
            "io.modelcontextprotocol/clientInfo":{"name":"x"},"io.modelcontextprotocol/logLevel":"info","progressToken":3,"traceparent":"00-ab"}}}
            """
        let bytes = Array(text.utf8)
        let envelope = try scan(text)
        func at(_ span: JSONSpan?) -> String? { span.map { String(decoding: bytes[$0.range], as: UTF8.self) } }
        #expect(envelope.kind == .request)
        #expect(at(envelope.id) == "\"a-1\"")
        #expect(envelope.method == "tools/call")
        #expect(envelope.name == "crm_search")
        #expect(at(envelope.nameSpan) == "\"crm_search\"")
        #expect(at(envelope.arguments) == #"{"q":[1,{"name":"inner"}]}"#)
        #expect(envelope.protocolVersion == "2026-07-28")
        #expect(at(envelope.clientCapabilities) == #"{"elicitation":{}}"#)
        #expect(at(envelope.clientInfo) == #"{"name":"x"}"#)
        #expect(envelope.logLevel == "info")
        #expect(at(envelope.progressToken) == "3")
        #expect(at(envelope.traceparent) == "\"00-ab\"")
        #expect(at(envelope.params)?.first == "{" && at(envelope.meta)?.last == "}")
    }

    @Test(arguments: [
        (#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Envelope.Kind.request), (#"{"method":"x","jsonrpc":"2.0","params":null}"#, .notification),
        (#"{"jsonrpc":"2.0","id":1,"result":{}}"#, .response), (#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#, .errorResponse),
        (#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#, .errorResponse),
        ("  {\"jsonrpc\" : \"2.0\" ,\t\"id\":-7,\r\n\"method\":\"m\" } \n", .request),
    ]) func tellsKinds(text: String, kind: Envelope.Kind) throws {
        #expect(try scan(text).kind == kind)
    }

    @Test(arguments: [
        (#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#, ScanError.Reason.trailingBytes), (#"{"jsonrpc":"2.0","id":1,"method":"m"}{}"#, .trailingBytes),
        ("", .unexpectedEnd), ("{", .unexpectedEnd), (#"{"jsonrpc":"2.0""#, .unexpectedEnd), (#"{"a":tru"#, .unexpectedEnd),
        (#"{"a":trux}"#, .unexpectedByte),
        (#"{"a":1,}"#, .unexpectedByte), (#"{"a":01}"#, .unexpectedByte), (#"{"a":+1}"#, .unexpectedByte), (#"{"a":1.}"#, .invalidNumber),
        (#"{"a":.5}"#, .unexpectedByte), (#"{"a":-}"#, .invalidNumber), (#"{"a":1e}"#, .invalidNumber), (#"{"a":NaN}"#, .unexpectedByte),
        (#"{'a':1}"#, .unexpectedByte),
        (#"{"a":"\x"}"#, .invalidEscape), (#"{"a":"\u12G4"}"#, .invalidEscape), ("{\"a\":\"tab\there\"}", .controlCharacter),
        ("{\"a\":\"line\nbreak\"}", .controlCharacter),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":"\ud800"}}"#, .loneSurrogate),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","x":"\udc00\ud800"}"#, .loneSurrogate),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","x":"\ud800\ud800\udc00"}"#, .loneSurrogate), (#"[{"jsonrpc":"2.0","id":1,"method":"m"}]"#, .batch),
        ("[]", .batch),
        ("[1", .unexpectedEnd), ("7", .notAnObject), ("null", .notAnObject), (#"{"id":1,"method":"m"}"#, .notJSONRPC2),
        (#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, .notJSONRPC2),
        (#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, .notJSONRPC2), (#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, .invalidID),
        (#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, .invalidID),
        (#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, .invalidID), (#"{"jsonrpc":"2.0","result":{}}"#, .invalidID),
        (#"{"jsonrpc":"2.0","id":1,"method":7}"#, .invalidMember),
        (#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, .invalidMember), (#"{"jsonrpc":"2.0","id":1}"#, .ambiguousKind),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","result":1}"#, .ambiguousKind),
        (#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, .ambiguousKind), (#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#, .invalidParams),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#, .invalidParams),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":3}}"#, .invalidParams),
    ]) func refuses(text: String, reason: ScanError.Reason) {
        #expect(refusal(text)?.reason == reason)
    }

    @Test(arguments: ["id", "method", "params", "result", "error", "jsonrpc"]) func refusesDuplicatesAtTheTop(key: String) {
        let values = ["id": "1", "method": "\"m\"", "params": "{}", "result": "{}", "error": "{}", "jsonrpc": "\"2.0\""]
        let value = values[key] ?? ""
        let base = #""jsonrpc":"2.0","id":1,"method":"m","params":{}"#
        let first = base.contains("\"\(key)\"") ? "" : ",\"\(key)\":\(value)"
        #expect(refusal("{\(base)\(first),\"\(key)\":\(value)}")?.reason == .duplicateKey)
        // The same key by another spelling.
        let spelled = key.prefix(1).unicodeScalars.map { "\\u00" + String($0.value, radix: 16) }.joined() + key.dropFirst()
        #expect(refusal("{\(base)\(first),\"\(spelled)\":\(value)}")?.reason == .duplicateKey)
        #expect(refusal("{\(base),\"\(key.uppercased())\":\(value)}")?.reason == .lookalikeKey)
    }

    @Test(arguments: ["name", "uri", "_meta", "arguments", "taskId", "requestId", "progressToken"]) func refusesDuplicatesInParams(key: String) {
        #expect(refusal(#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"\#(key)":{},"\#(key)":{}}}"#)?.reason == .duplicateKey)
    }

    @Test(arguments: ["Name", "ARGUMENTS", "Uri", "_Meta", "argumentſ"]) func refusesLookalikesInParams(key: String) {
        #expect(refusal(#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"\#(key)":1}}"#)?.reason == .lookalikeKey)
        // Inside a payload they are nobody's business.
        #expect(refusal(#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":{"\#(key)":1,"\#(key)":2}}}"#) == nil)
    }

    @Test func comparesNamesUnescaped() throws {
        let envelope = try scan(#"{"jsonrpc":"2.0","id":1,"\u006dethod":"tools\/call","params":{"n\u0061me":"caf\u00e9 \ud83d\ude00"}}"#)
        #expect(envelope.method == "tools/call")
        #expect(envelope.name == "café 😀")
    }

    @Test func tellsTheIDOfARefusedMessage() {
        let text = #"{"jsonrpc":"2.0","params":{"name":"a","name":"b"},"method":"m","id":"z"}"#
        let error = refusal(text)
        #expect(error?.reason == .duplicateKey && error?.isMalformed == false && error?.hasMethod == true)
        #expect(error?.id.map { String(decoding: Array(text.utf8)[$0.range], as: UTF8.self) } == "\"z\"")
        #expect(refusal(#"{"jsonrpc":"2.0","id":5,"result":{"x":"\ud800"}}"#).map { $0.id != nil && !$0.hasMethod } == true)
        #expect(refusal(#"{"jsonrpc":"2.0","id":5,"result":{"x":"#).map { $0.id != nil && !$0.hasMethod } == true)
    }

    @Test func limitsDepthAndSize() {
        func nested(_ levels: Int) -> String {
            #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":"# + String(repeating: "[", count: levels)
                + String(repeating: "]", count: levels) + "}}"
        }
        #expect(refusal(nested(62)) == nil)
        #expect(refusal(nested(63))?.reason == .tooDeep)
        let deep = Array(#"{"a":"#.utf8) + [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
        #expect(refusal(deep)?.reason == .tooDeep)
        #expect(refusal(Array(nested(1).utf8), limits: ScanLimits(maximumBytes: 20))?.reason == .tooLarge)
        #expect((try? JSONValue(parsing: String(repeating: "[", count: 64) + String(repeating: "]", count: 64))) != nil)
        #expect((try? JSONValue(parsing: String(repeating: "[", count: 65) + String(repeating: "]", count: 65))) == nil)
    }

    @Test(
        arguments: [
            [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0x80], [0xBF], [0xC3], [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xF0, 0x9F, 0x98], [0xFF], [0xFE],
        ] as [[UInt8]]) func refusesInvalidUTF8(sequence: [UInt8])
    {
        for padding in 0..<9 {
            let text = Array(#"{"a":""#.utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: padding) + sequence + Array(#""}"#.utf8)
            #expect(refusal(text)?.reason == .invalidUTF8)
        }
    }

    /// The word-wise search must see a special byte at every place of a word, and nothing else.
    @Test func findsEveryByteAtEveryOffset() {
        for padding in 0..<25 {
            for byte in UInt8(0)...0x7F {
                let content = [UInt8](repeating: UInt8(ascii: "a"), count: padding) + [byte] + [UInt8](repeating: 0x7F, count: 9)
                let text = Array(#"{"jsonrpc":"2.0","method":"m","x":""#.utf8) + content + Array(#""}"#.utf8)
                let expected: ScanError.Reason? =
                    switch byte {
                    case 0..<0x20: .controlCharacter
                    case UInt8(ascii: "\""): .unexpectedByte
                    case UInt8(ascii: "\\"): .invalidEscape
                    default: nil
                    }
                #expect(refusal(text)?.reason == expected, "byte \(byte) after \(padding)")
            }
        }
    }
}
