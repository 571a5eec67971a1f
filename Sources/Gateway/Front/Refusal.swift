import NIOCore

/// A complete answer that refuses a request. What must look alike is one value, so that it is alike byte for byte.
struct Refusal {
    var status: Int
    var headers: [(String, String)]
    var body: ByteBuffer

    private init(_ status: Int, _ body: StaticString, _ headers: [(String, String)] = []) {
        self.status = status
        self.headers = [("content-type", "application/json")] + headers
        self.body = ByteBuffer(staticString: body)
    }

    /// The `Host` or `Origin` is not ours: perhaps another site's page in a browser.
    static let origin = Refusal(403, #"{"error":"forbidden_origin","message":"this host or origin is not allowed"}"#)
    /// Proxies are named (`--behind-proxy`), and this peer is none of them.
    static let notByProxy = Refusal(403, #"{"error":"forbidden","message":"connections come through the proxy only","hint":"use the public URL"}"#)
    static let tokenMissing = Refusal(
        401, #"{"error":"unauthorized","message":"a bearer token is needed","hint":"send Authorization: Bearer TOKEN"}"#,
        [("www-authenticate", "Bearer")])
    static let tokenInvalid = Refusal(
        401, #"{"error":"invalid_token","message":"the token is unknown, expired or revoked","hint":"ask for a new token"}"#,
        [("www-authenticate", #"Bearer error="invalid_token""#)])
    /// One answer for a slug that does not exist and one that this token may not use.
    static let notFound = Refusal(404, #"{"error":"not_found","message":"there is no MCP endpoint here for this token"}"#)
    static let repeatedHeader = Refusal(400, #"{"error":"bad_request","message":"a header is there twice with different values"}"#)
    static let methodNotAllowed = Refusal(405, #"{"error":"method_not_allowed","message":"use GET"}"#, [("allow", "GET, HEAD")])
    static let busy = Refusal(503, #"{"error":"busy","message":"too many requests at once","hint":"try again"}"#, [("retry-after", "1")])
    static let auditUnavailable = Refusal(503, #"{"error":"audit_unavailable","message":"the audit log cannot be written"}"#)
}

/// Rows for what is refused, of which anybody can send any number: so many a second are written, the rest are counted.
struct RefusalMeter {
    static let perSecond = 5

    private var second: Int64 = 0
    private var written = 0
    private var unwritten = 0

    /// - Returns: The reason as the row has it, with the number of refusals that were left out before this one; nil when this
    ///   one is left out too.
    mutating func admit(_ reason: String, second now: Int64) -> String? {
        if now != second {
            second = now
            written = 0
        }
        guard written < Self.perSecond else {
            unwritten += 1
            return nil
        }
        written += 1
        defer { unwritten = 0 }
        return unwritten == 0 ? reason : "\(reason); \(unwritten) more before it were not written"
    }
}
