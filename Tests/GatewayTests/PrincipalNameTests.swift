import Testing

@testable import Gateway

/// Two names that Swift takes for one would share machines, sessions and credentials.
struct PrincipalNameTests {
    @Test(arguments: ["alice@example.com", "jos\u{E9}", "\u{5F20}\u{4F1F}", "o\u{308}x".precomposedForTest])
    func names(_ name: String) { #expect(PrincipalName.problem(name) == nil) }

    @Test(arguments: [
        "jose\u{301}", "\u{212A}arl", "A\u{30A}", "\u{1E9B}\u{323}\u{301}x\u{344}", "", "a b", "a\u{202E}b", "berth:gateway", "BERTH:x", "berth:\u{301}x",
        "local:me", String(repeating: "a", count: 129),
    ])
    func noNames(_ name: String) { #expect(PrincipalName.problem(name)?.field == "principal", "\(name.unicodeScalars.map(\.value))") }

    @Test func whatIsEquivalentIsOneName() {
        let spellings = ["jos\u{E9}", "jose\u{301}", "Karl", "\u{212A}arl"]
        for one in spellings {
            for other in spellings where one == other && !one.utf8.elementsEqual(other.utf8) {
                #expect(!(PrincipalName.isNormal(one) && PrincipalName.isNormal(other)))
            }
        }
    }
}

extension String {
    fileprivate var precomposedForTest: String { "\u{F6}x" }
}
