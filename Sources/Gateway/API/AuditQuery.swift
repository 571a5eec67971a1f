/// What `GET /api/v1/audit?limit=20&method=…&principal=…&follow=1` asks for; every part may be left out.
struct AuditQuery {
    var limit = 20
    var filter = AuditFilter()
    /// Goes on with new rows as they come.
    var follows = false

    /// - Parameter parameter: answers the value of a parameter, decoded.
    init(_ parameter: (Substring) -> Substring?) throws(ProvisioningFailure) {
        if let text = parameter("limit") {
            guard let number = Int(text), (1...100_000).contains(number) else {
                throw ProvisioningFailure(error: "invalid", message: "limit is out of range", field: "limit", hint: "1 to 100000")
            }
            limit = number
        }
        filter.method = parameter("method").map(String.init)
        filter.principal = parameter("principal").map(String.init)
        follows = parameter("follow") == "1"
    }
}

extension AuditPages {
    /// Gives every page to `body`.
    ///
    /// - Throws: what `body` and the store do, and `CancellationError` when there would have been more: the pages of a task
    ///   that was cancelled end as if they were all, and a cut export must not pass for a whole one.
    @concurrent func each(_ body: @concurrent ([AuditEntry]) async throws -> Void) async throws {
        for try await page in self { try await body(page) }
        // A follower has no other end.
        if !follows { try Task.checkCancellation() }
    }
}
