import Gateway
import NIOCore
import Testing
import TestSupport
import Wire

@Suite("data path: control requests")
struct DataPathControlTests {
    @Test func everythingElseIsTheControlPlanes() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            #expect(try await fixture.send("POST", "/api/v1/x?y=1", token: "root", body: "hello").text == "POST /api/v1/x?y=1 bearer id-root hello")
            #expect(try await fixture.send("GET", "/", token: nil).text == "GET / bearer - ")
            #expect(try await fixture.send("GET", "/", token: "old").text == "GET / bearer - ")
            #expect(try await fixture.send("GET", "/api/lines", token: nil).text == "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n")
            #expect(try await fixture.send("GET", "/api/silent", token: nil).status == 500)
            #expect(try await fixture.send("GET", "/", token: nil, headers: [("origin", "https://evil.example")]).status == 403)
            let long = String(repeating: "x", count: 1_100_000)
            #expect(try await fixture.send("POST", "/", token: "root", body: long).status == 413)
            #expect(try await fixture.send("POST", "/", token: nil, body: long).status == 401, "not read without a token")
        }
    }

    @Test func anAnswerThatNobodyEndedHasNoEnd() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            await #expect(throws: ExchangeFailure.self) { try await fixture.send("GET", "/api/half", token: "root") }
        }
    }

    /// What an admin began, and does not wait for any more, still writes its row.
    @Test func shutdownWaitsForWorkThatCleansUp() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let path = fixture.path
            let task = Task { try? await fixture.send("GET", "/api/follow", token: "root") }
            #expect(await eventually { fixture.control.following.withLockedValue { $0 } == 1 })
            fixture.control.cleanUp.withLockedValue { $0 = { try? await path.append(AuditRow(method: "admin/connector.add", outcome: .error)) } }
            task.cancel()
            await path.shutdown()
            #expect(fixture.all("admin/connector.add").count == 1)
            _ = await task.value
        }
    }

    @Test func theControlSocketKnowsRoot() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let path = fixture.directory + "/control.sock"
            try await fixture.path.listenControl(.unix(path: path))
            let response = try await fixture.client.execute("GET", "/api/v1/status", to: .unix(path: path))
            let text = String(buffer: try await response.collect(upTo: 1 << 20))
            // As any other user a test has no more rights than its token.
            #expect(text == "GET /api/v1/status root " || text == "GET /api/v1/status bearer - ")
        }
    }

    @Test func rowsOfTheControlPlaneGoIntoTheSameLog() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            try await fixture.path.append(AuditRow(method: "admin/token.create", outcome: .allowed, principal: "local:root"))
            #expect(fixture.all("admin/token.create").map(\.sequence) == [1])
        }
    }
}
