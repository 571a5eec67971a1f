import Testing

@testable import Door

@Suite struct EgressRuleTests {
    @Test(
        "what a rule reads as",
        arguments: [
            ("api.example.com", "api.example.com:443"), ("API.Example.com:8443", "api.example.com:8443"), ("*.example.com", "*.example.com:443"),
            ("*.Example.com.:22", "*.example.com:22"), ("localhost:5432", "localhost:5432"), ("a_b.example", "a_b.example:443"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example:443"), ("3f2a9c:80", "3f2a9c:80"),
        ])
    func read(_ text: String, _ description: String) throws {
        #expect(try EgressRule(text).description == description)
        #expect(try EgressRule(description) == EgressRule(text), "what is shown can be given again")
    }

    @Test(
        "what is no rule is refused with a remedy",
        arguments: [
            ("", "no name"), ("https://api.example.com", "not a host"), ("api.example.com/v1", "not a host"), ("api.example.com:", "no port"),
            ("api.example.com:0", "no port"), ("api.example.com:65536", "no port"), ("api.example.com:443x", "no port"),
            ("api.example.com:+443", "no port"), ("10.0.0.1", "address"), ("10.0.0.1:80", "address"), ("2130706433", "address"),
            ("::1", "address"), ("[::1]:443", "address"), ("0x7f000001", "no name"), ("a.0x7f", "no name"), ("*", "no name"), ("*.com", "top-level"),
            ("*example.com", "no name"), ("a.*.com", "no name"), ("*.*.example.com", "no name"), ("-a.example", "no name"), ("a..example", "no name"),
            ("a b.example", "no name"), ("bücher.example", "no name"), (String(repeating: "a", count: 64) + ".example", "no name"),
            (String(repeating: "a.", count: 126) + "example", "no name"), ("api.example.com:53", "name service"),
        ])
    func refused(_ text: String, _ why: String) {
        do {
            let rule = try EgressRule(text)
            Issue.record("\(text) was read as \(rule)")
        } catch {
            #expect(error.message.contains(why), "\(error)")
            #expect(!error.hint.isEmpty)
        }
    }

    @Test("an exact rule covers one name, a suffix every name below it, and each its own port")
    func covers() throws {
        let list = try EgressList(["api.example.com", "*.example.org:8443"], privateHosts: ["db.internal:5432"])
        for (host, port, isCovered) in [
            ("api.example.com", 443, true), ("api.example.com", 80, false), ("x.api.example.com", 443, false), ("example.com", 443, false),
            ("a.example.org", 8443, true), ("a.b.example.org", 8443, true), ("example.org", 8443, false), ("evilexample.org", 8443, false),
            ("a.example.org", 443, false), ("db.internal", 5432, true), ("db.internal", 443, false),
        ] { #expect(list.covers(host, port: port) == isCovered, "\(host):\(port)") }
        #expect(list.covers("a.example.org") && !list.covers("other.example"))
        #expect(list.isPrivate("db.internal", port: 5432) && !list.isPrivate("api.example.com", port: 443))
        #expect(list.ports == [443, 5432, 8443])
    }

    @Test("a list is bounded, and its complaint names its field")
    func bounds() throws {
        func field(_ rules: [String], _ privates: [String] = []) -> String? {
            do {
                _ = try EgressList(rules, privateHosts: privates)
                return nil
            } catch {
                return error.field
            }
        }
        #expect(field((1...64).map { "h\($0).example" }) == nil)
        #expect(field((1...65).map { "h\($0).example" }) == "egress")
        #expect(field((1...17).map { "h.example:\($0)" }) == "egress")
        #expect(field([], ["*.example.com"]) == "egress_private")
        #expect(field(["a.example"], ["10.0.0.1"]) == "egress_private")
    }

    @Test("the ledger counts, keeps the first ones, and says which option would allow each")
    func ledger() {
        var ledger = EgressLedger()
        let refusal = EgressRefusal(host: "evil.example", port: 443, reason: .notAllowed)
        #expect(ledger.record(refusal, at: 1) && !ledger.record(refusal, times: 3, at: 7))
        #expect(ledger.rows == [.init(refusal: refusal, count: 4, last: 7)])
        for port in 1...1_000 { ledger.record(.init(host: "a", port: port, reason: .literal), at: 9) }
        #expect(ledger.rows.count == EgressLedger.limit && ledger.others == 1_001 - EgressLedger.limit)
        #expect(refusal.sentence == "egress refused: evil.example:443 is not on the list; to allow it along with the others: --egress evil.example:443")
        #expect(EgressRefusal(host: "evil.example", port: 0, reason: .notAllowed).option == "--egress evil.example")
        #expect(EgressRefusal(host: "db.internal", port: 5432, reason: .notGlobal).option == "--egress-private db.internal:5432")
        #expect(EgressRefusal(host: "1.1.1.1", port: 443, reason: .literal).option == nil)
        #expect(EgressRefusal(host: "meta.example", port: 80, reason: .special).option == nil)
    }

    @Test(
        "a rule includes another that leads nowhere else",
        arguments: [
            ("a.example", "a.example:443", true), ("a.example", "a.example:80", false), ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false), ("*.example.com", "*.example.com", true), ("*.example.com", "*.b.example.com", true),
            ("*.b.example.com", "*.example.com", false), ("a.example.com", "*.example.com", false),
        ])
    func includes(_ rule: String, _ other: String, _ expected: Bool) throws {
        #expect(try EgressRule(rule).includes(EgressRule(other)) == expected)
    }
}
