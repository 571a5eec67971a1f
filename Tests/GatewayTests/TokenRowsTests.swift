import JSONText
import Testing

@testable import Gateway

@Suite struct TokenRowsTests {
    private static let tokens = [
        TokenRecord(id: "01A", principal: "alice", vmcp: "office", created_at: 0, expires_at: nil, revoked_at: nil),
        TokenRecord(id: "01B", principal: "alice", vmcp: "office", created_at: 0, expires_at: 100, revoked_at: nil),
        TokenRecord(id: "01C", principal: "alice", vmcp: nil, created_at: 0, expires_at: nil, revoked_at: 50),
        TokenRecord(id: "01D", principal: "bob", vmcp: nil, created_at: 0, expires_at: 101, revoked_at: 50),
    ]

    @Test func everyRowTellsItsState() {
        #expect(Self.tokens.map { $0.json(at: 100)["state"]?.stringValue } == ["active", "expired", "revoked", "revoked"])
        #expect(Self.tokens[1].json(at: 99)["state"]?.stringValue == "active")
    }

    @Test(arguments: [
        ("alice", "alice is no token's ID but a principal", "berth token revoke 01A, or 01B"),
        ("bob", "bob is no token's ID but a principal", "none of its tokens is left to revoke: berth token list"),
        ("01C", "the token 01C is revoked already", "berth token list"), ("carol", "no token has the ID carol", "berth token list"),
    ])
    func whatCannotBeRevokedIsExplained(id: String, message: String, hint: String) {
        let failure = ProvisioningFailure.cannotRevoke(id, among: Self.tokens, at: 100)
        #expect(failure.message == message && failure.hint == hint && failure.error == "not_found")
    }
}
