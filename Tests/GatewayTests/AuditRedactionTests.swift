import Gateway
import JSONText
import Testing

@Suite("audit redaction")
struct AuditRedactionTests {
    private func text(_ json: String, _ literals: [String] = []) -> String { AuditRedactor(literals: literals).redact(Array(json.utf8)).text }

    static let telling: [(String, String)] = [
        (#"{"password":"x","city":"Bern"}"#, #"{"password":"[redacted]","city":"Bern"}"#),
        (#"{ "API-Key" : 7 , "b" : [ 1 , 2 ] }"#, #"{"API-Key":"[redacted]","b":[1,2]}"#),
        (#"{"api_key":{"a":["}",{"b":"\"]"}]},"c":1}"#, #"{"api_key":"[redacted]","c":1}"#),
        (#"{"a":[{"Authorization":"Bearer x"},{"apikey":null}]}"#, #"{"a":[{"Authorization":"[redacted]"},{"apikey":"[redacted]"}]}"#),
        (#"{"p\u0061ssword":"x"}"#, #"{"password":"[redacted]"}"#),
        (#"{"x-secret-thing":true,"cookies":[],"CREDENTIALS":{},"passwd":"","access_token":"t"}"#,
            #"{"x-secret-thing":"[redacted]","cookies":"[redacted]","CREDENTIALS":"[redacted]","passwd":"[redacted]","access_token":"[redacted]"}"#),
        (#"["password","token"]"#, #"["password","token"]"#),
        (#"{"note":"my password is here"}"#, #"{"note":"my password is here"}"#),
        (#"{"secret":"x"}"#, #"{"secret":"[redacted]"}"#),
        (#"{}"#, #"{}"#), (#"7"#, #"7"#), (#""#, #""#), (#"null"#, #"null"#),
        (#"{"a":"tab\tquote\" slash\/ \u00e9 \ud83d\ude00 \u0001"}"#, #"{"a":"tab\tquote\" slash/ é 😀 \u0001"}"#),
    ]

    @Test(arguments: telling)
    func valuesUnderTellingKeysAreReplaced(json: String, expected: String) throws {
        #expect(text(json) == expected)
        if !expected.isEmpty { _ = try JSONValue(parsing: expected) }
    }

    @Test func knownSecretsAreMaskedWhereverTheyStand() {
        #expect(text(#"{"a":"x hunter2 y hunter2"}"#, ["hunter2"]) == #"{"a":"x [redacted] y [redacted]"}"#)
        #expect(text(#"{"a":"\u0068unter2"}"#, ["hunter2"]) == #"{"a":"[redacted]"}"#)
        #expect(text(#"{"a":"li\"ne\nend"}"#, ["li\"ne\nend"]) == #"{"a":"[redacted]"}"#)
        #expect(text(#"{"hunter2":1}"#, ["hunter2"]) == #"{"[redacted]":1}"#)
        #expect(text(#"{"a":"hunter22"}"#, ["hunter2", "hunter22"]) == #"{"a":"[redacted]"}"#, "the longest first")
        #expect(text(#"{"a":"abc"}"#, ["abc", ""]) == #"{"a":"abc"}"#, "too short to be one")
        #expect(text(#"{"a":"hunter"}"#, ["hunter2"]) == #"{"a":"hunter"}"#)
    }

    /// Six bytes of an escape make one or two: a long string of them is read to its end, or the walk would go on inside it
    /// and take keys for values.
    @Test(arguments: [1_000, 1_366, 1_400, 2_000, 4_000, 8_000, 20_000])
    func aStringOfEscapesDoesNotUnmaskWhatFollows(count: Int) {
        for escape in ["\\u4e2d", "\\u0041", "\\/"] {
            let kept = text("{\"text\":\"\(String(repeating: escape, count: count))\",\"password\":\"hunter2\"}")
            #expect(!kept.contains("hunter2"))
        }
    }

    @Test func linesOfServersAreMaskedAndCut() {
        let redactor = AuditRedactor(literals: ["sk-\"quoted\"-key"])
        #expect(redactor.redact(line: "no such key: sk-\"quoted\"-key!", limit: 512) == "no such key: [redacted]!")
        for shift in 0..<24 {
            let line = redactor.redact(line: String(repeating: "x", count: 512 - shift) + "sk-\"quoted\"-key", limit: 512)
            #expect(line.utf8.count <= 512 && !line.contains("sk-"))
        }
        // One character of three megabytes.
        let long = redactor.redact(line: "e" + String(repeating: "\u{301}", count: 1_500_000), limit: 512)
        #expect(long.utf8.count <= 512 && !long.contains("\u{FFFD}"))
    }

    @Test func longPayloadsAreCutAndSaySo() {
        for form in ["c3VwZXIvc2VjcmV0IHZhbHVl", "super%2Fsecret%20value", "super%2fsecret%20value", "super/secret%20value"] {
            let kept = AuditRedactor(literals: ["super/secret value"]).redact(Array("{\"content\":[{\"text\":\"<\(form)>\"}]}".utf8)).text
            #expect(kept == #"{"content":[{"text":"<[redacted]>"}]}"#, "\(form): \(kept)")
        }
        let redactor = AuditRedactor(literals: ["supersecretvalue"])
        let exact = "\"" + String(repeating: "x", count: AuditRedactor.limit - 2) + "\""
        #expect(redactor.redact(Array(exact.utf8)) == AuditText(text: exact))
        let long = redactor.redact(Array(("\"" + String(repeating: "é", count: 100_000) + "\"").utf8))
        #expect(long.truncated && long.text.utf8.count <= AuditRedactor.limit && !long.text.contains("\u{FFFD}"))
        #expect(long.text.utf8.count >= AuditRedactor.limit - 1)
        // A secret across the cut is masked before it is cut.
        for shift in 0..<20 {
            let padding = String(repeating: "x", count: AuditRedactor.limit - 18 + shift)
            let cut = redactor.redact(Array("[\"\(padding)supersecretvalue\",\(String(repeating: "1,", count: 9_000))1]".utf8))
            #expect(cut.truncated && cut.text.utf8.count <= AuditRedactor.limit)
            #expect(!cut.text.contains("supers"), "\(shift)")
        }
    }

    @Test func manyElementsStopAtTheBound() {
        let json = "[" + Array(repeating: #"{"token":"abcdefgh","n":1}"#, count: 20_000).joined(separator: ",") + "]"
        let kept = AuditRedactor().redact(Array(json.utf8))
        #expect(kept.truncated && kept.text.utf8.count <= AuditRedactor.limit && !kept.text.contains("abcdefgh"))
    }

    /// A record of anything, also of what is no JSON: never a trap, never beyond the bound.
    @Test(arguments: ["{", "{\"a", "{\"password\"", "{\"password\":", "{\"password\":[", "\"\\", "\"\\u12", "\"\\ud800\"", "}}}", "{\"a\\", "]"])
    func brokenTextsAreCopiedAsFarAsTheyGo(json: String) {
        #expect(text(json).utf8.count <= json.utf8.count + 32)
        #expect(text(json + String(repeating: " ", count: 10)).utf8.count <= json.utf8.count + 42)
    }

    @Test func noSecretSurvivesRandomPlacement() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            func value(_ depth: Int) -> JSONValue {
                switch Int.random(in: 0..<(depth > 3 ? 3 : 5), using: &generator) {
                case 0: return .string("plain \"\\\n text")
                case 1: return .int(Int.random(in: 0..<1_000, using: &generator))
                case 2: return .string("before topsecret\"value after")
                case 3: return .array((0..<Int.random(in: 0..<4, using: &generator)).map { _ in value(depth + 1) })
                default:
                    let keys = ["city", "Password", "x_api_key", "n", "set-cookie"].shuffled(using: &generator).prefix(3)
                    return .object(
                        JSONObject(keys.map { key in (key, key == "city" || key == "n" ? value(depth + 1) : .string("keyed")) }))
                }
            }
            let kept = text(value(0).text, ["topsecret\"value"])
            #expect(!kept.contains("topsecret") && !kept.contains("keyed"))
            #expect((try? JSONValue(parsing: kept)) != nil)
        }
    }
}
