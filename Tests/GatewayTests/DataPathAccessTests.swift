import Foundation
import Gateway
import JSONText
import NIOCore
import Testing
import TestSupport

@Suite("data path: access")
struct DataPathAccessTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var status: Int
        var error: String
        var token: String?
        var target = "/v/office/mcp"
        var headers: [(String, String)] = []
        var authenticate: String?
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "no token", status: 401, error: "unauthorized", token: nil, authenticate: "Bearer"),
        Case(
            name: "token in the query", status: 401, error: "unauthorized", token: nil, target: "/v/office/mcp?access_token=alice",
            authenticate: "Bearer"),
        Case(name: "token in a cookie", status: 401, error: "unauthorized", token: nil, headers: [("cookie", "token=alice")], authenticate: "Bearer"),
        Case(name: "no slug and no token", status: 401, error: "unauthorized", token: nil, target: "/v/nothing/mcp", authenticate: "Bearer"),
        Case(name: "unknown token", status: 401, error: "invalid_token", token: "mallory", authenticate: #"Bearer error="invalid_token""#),
        Case(name: "expired token", status: 401, error: "invalid_token", token: "old", authenticate: #"Bearer error="invalid_token""#),
        Case(
            name: "basic", status: 401, error: "invalid_token", token: nil, headers: [("authorization", "Basic YTpi")],
            authenticate: #"Bearer error="invalid_token""#),
        Case(
            name: "two tokens", status: 401, error: "invalid_token", token: "alice", headers: [("authorization", "Bearer alice")],
            authenticate: #"Bearer error="invalid_token""#),
        Case(name: "a blank in the token", status: 401, error: "invalid_token", token: "al ice", authenticate: #"Bearer error="invalid_token""#),
        Case(name: "another virtual MCP", status: 404, error: "not_found", token: "bob"),
        Case(name: "an unknown virtual MCP", status: 404, error: "not_found", token: "alice", target: "/v/nothing/mcp"),
        Case(name: "an admin's token", status: 404, error: "not_found", token: "root"),
        Case(name: "another path", status: 404, error: "not_found", token: "alice", target: "/v/office/mcp/"),
        Case(name: "a foreign host", status: 403, error: "forbidden_origin", token: "alice", headers: [("host", "evil.example")]),
        Case(name: "a foreign origin", status: 403, error: "forbidden_origin", token: "alice", headers: [("origin", "https://evil.example")]),
        Case(name: "a null origin", status: 403, error: "forbidden_origin", token: "alice", headers: [("origin", "null")]),
        Case(
            name: "a header twice", status: 400, error: "bad_request", token: "alice",
            headers: [("mcp-session-id", "a"), ("mcp-session-id", "b")]),
    ]

    @Test func accessTable() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            for row in Self.cases {
                for method in ["POST", "GET"] {
                    let body = method == "POST" ? DataPathFixture.modern("tools/list") : nil
                    let answer = try await fixture.send(method, row.target, token: row.token, headers: row.headers, body: body)
                    #expect(answer.status == row.status, "\(row.name) \(method)")
                    #expect(answer.json["error"]?.stringValue == row.error, "\(row.name) \(method)")
                    #expect(answer.headers.contains("www-authenticate: \(row.authenticate ?? "")") == (row.authenticate != nil), "\(row.name)")
                }
            }
            #expect(fixture.door.calls.isEmpty)
        }
    }

    /// Else anybody could have the gateway hold a megabyte for each connection.
    @Test func aLongBodyIsOnlyReadForAValidToken() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let long = String(repeating: "x", count: 100_000)
            for target in ["/v/office/mcp", "/api/v1/connectors", "/"] {
                #expect(try await fixture.send("POST", target, token: nil, body: long).json["error"] == .string("unauthorized"))
                #expect(try await fixture.send("POST", target, token: "mallory", body: long).json["error"] == .string("invalid_token"))
            }
            #expect(try await fixture.send("POST", "/api/v1/connectors", token: "root", body: long).status == 200)
        }
    }

    @Test func whatIsNotThereAndWhatIsNotAllowedLookAlike() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let long = String(repeating: "x", count: 100_000)
            for (method, body) in [("POST", DataPathFixture.modern("tools/list")), ("GET", nil), ("DELETE", nil), ("POST", long)] {
                let unknown = try await fixture.send(method, "/v/nothing/mcp", token: "alice", body: body)
                let foreign = try await fixture.send(method, "/v/other/mcp", token: "alice", body: body)
                #expect(unknown.status == 404)
                #expect(unknown.status == foreign.status && unknown.headers == foreign.headers && unknown.text == foreign.text)
            }
            let rows = fixture.all("access")
            #expect(rows.allSatisfy { $0.outcome == .denied && $0.principal == "alice@example.org" && $0.tokenID == "id-alice" })
            #expect(Set(rows.map(\.virtualMCP)) == ["nothing", "other"])
        }
    }

    @Test func refusedTokensAreLoggedWithinABound() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            for _ in 0..<40 { #expect(try await fixture.send("GET", "/v/office/mcp", token: "mallory").status == 401) }
            let rows = fixture.all("authenticate")
            #expect(!rows.isEmpty && rows.count < 40)
            #expect(rows.allSatisfy { $0.outcome == .denied && $0.principal.isEmpty })
        }
    }

    /// A token that is good for one virtual MCP must not fill the log by asking for others.
    @Test func refusedAccessIsLoggedWithinABound() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            for _ in 0..<40 { #expect(try await fixture.send("GET", "/v/other/mcp").status == 404) }
            let rows = fixture.all("access")
            #expect(!rows.isEmpty && rows.count < 40)
            // What is left out is counted, and hides no refused token.
            #expect(try await fixture.send("GET", "/v/office/mcp", token: "mallory").status == 401)
            #expect(fixture.all("authenticate").count == 1)
        }
    }

    @Test func aLongBodyWithoutATokenIsNotRead() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let answer = try await fixture.send("POST", "/v/office/mcp", token: nil, body: String(repeating: " ", count: 1_000_000))
            #expect(answer.status == 401)
            #expect(answer.headers.contains("connection: close"))
        }
    }

    @Test func healthIsToldToEverybody() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            #expect(try await fixture.send("GET", "/healthz", token: nil).text == #"{"status":"alive"}"#)
            #expect(try await fixture.send("GET", "/readyz", token: nil).status == 200)
            #expect(try await fixture.send("POST", "/healthz", token: nil, body: "{}").status == 405)
            #expect(try await fixture.send("GET", "/healthz", token: nil, headers: [("host", "evil.example")]).status == 403)
        }
    }
}
