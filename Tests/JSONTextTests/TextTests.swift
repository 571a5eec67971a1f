import JSONText
import Testing

@Suite struct TextTests {
    @Test func valuesKeepNumbersAndOrder() throws {
        let text = #"{"b":1.50,"a":[true,null,-0,12345678901234567890],"":"é\n\u0001"}"#
        let value = try JSONValue(parsing: text)
        #expect(value.text == #"{"b":1.50,"a":[true,null,-0,12345678901234567890],"":"é\n\u0001"}"#)
        #expect(value["b"]?.doubleValue == 1.5 && value["a"]?[1]?.isNull == true && value["a"]?[9] == nil && value["nope"] == nil)
    }

    @Test func valuesRefuseDuplicateKeys() {
        #expect(throws: ScanError.self) { try JSONValue(parsing: #"{"a":{"x":1,"\u0078":2}}"#) }
    }

    /// Found by the fuzzer: Swift takes the two for equal.
    @Test func keysAreTheSameByCodePoints() throws {
        let value = try JSONValue(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(value["\u{E9}"] == 1 && value["e\u{301}"] == 2)
        #expect(throws: ScanError.self) { try JSONValue(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2,\"e\u{301}\":3}") }
    }

    @Test func literalsBuildValues() {
        var object: JSONObject = ["a": 1, "b": [nil, true, "x"]]
        object["a"] = nil
        object["c"] = 2
        #expect(JSONValue.object(object).text == #"{"b":[null,true,"x"],"c":2}"#)
    }

    @Test(arguments: ["", "plain", "\"\\/\u{8}\u{C}\n\r\t\u{0}\u{1F}\u{7F}", "é漢字😀\u{10FFFF}"]) func quotingComesBack(string: String) {
        let quoted = JSONString.quote(string)
        #expect(JSONString.unquote(JSONSpan(start: 0, end: quoted.count), in: quoted.span.bytes) == string)
    }

    @Test(arguments: [#""\ud800""#, "\"a", "a\"", "\"a\"b\"", "\"", ""]) func unquotingRefuses(text: String) {
        let bytes = Array(text.utf8)
        #expect(JSONString.unquote(JSONSpan(start: 0, end: bytes.count), in: bytes.span.bytes) == nil)
    }

    @Test(arguments: [
        (#"a\/\b\f\n\r\t\"\u0041\u00e9"#, "a/\u{8}\u{C}\n\r\t\"Aé"), (#"\ud83d\ude00"#, "😀"),
        // What is no escape, or half of one, in a text that nobody has scanned.
        (#"\ud83d\nDE00"#, "\u{FFFD}\nDE00"), (#"\ud83d\ud83d\ude00"#, "\u{FFFD}😀"), (#"\ude00"#, "\u{FFFD}"), (#"\u12"#, "\u{FFFD}"),
        (#"\uzzzzx"#, "\u{FFFD}x"), (#"\x"#, "x"), (#"a\"#, #"a\"#), ("", ""),
    ]) func unescapingIsLenient(text: String, expected: String) {
        let bytes = Array("<\(text)>".utf8)
        #expect(String(decoding: JSONString.unescaped(1..<bytes.count - 1, in: bytes.span.bytes), as: UTF8.self) == expected)
    }

    @Test func integersAreWrittenInDecimal() {
        func text(_ body: (inout [UInt8]) -> Void) -> String {
            var bytes: [UInt8] = []
            body(&bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
        for value in [0, 7, 10, 1_234_567_890, .max, .min, -1] as [Int64] { #expect(text { JSONNumber.append(value, to: &$0) } == "\(value)") }
        for value in [0, 9, 100, .max] as [UInt64] { #expect(text { JSONNumber.append(value, to: &$0) } == "\(value)") }
    }

    @Test func elementsAndMembersWalkOneLevel() throws {
        let text = Array(#" { "a" : [ 1 , {"x":[]} , "s" ] , "b" : { } } "#.utf8)
        let object = JSONSpan(start: 1, end: text.count)
        let array = try #require(try JSONMembers.value(of: "a", object: object, in: text.span.bytes))
        var elements = JSONElements(of: array)
        var found: [String] = []
        while let element = try elements.next(in: text.span.bytes) { found.append(String(decoding: text[element.range], as: UTF8.self)) }
        #expect(found == ["1", #"{"x":[]}"#, "\"s\""])
        var empty = JSONElements(of: JSONSpan(start: 0, end: 2))
        #expect(try empty.next(in: Array("[]".utf8).span.bytes) == nil)
    }

    @Test func splicesInAnyOrder() {
        let text = Array("0123456789".utf8)
        var splice = Splice()
        splice.replace(JSONSpan(start: 8, end: 9), with: Array("E".utf8))
        splice.remove(JSONSpan(start: 2, end: 4))
        splice.insert(Array("a".utf8), at: 2)
        splice.insert(Array("b".utf8), at: 2)
        splice.insert(Array("z".utf8), at: 10)
        #expect(String(decoding: splice.apply(to: text.span.bytes), as: UTF8.self) == "01ab4567E9z")
        #expect(splice.outcomeCount(of: 10) == 11)
    }
}
