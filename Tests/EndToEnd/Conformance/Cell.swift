import Testing

/// A client of one era before a server of one era: `docs/translation.md`. Directly is the control: what fails there too is the
/// fixture's or the SDK's fault.
struct Cell: Sendable, CustomTestStringConvertible {
    enum Era: String { case legacy, modern }

    let client: Era
    let server: Era
    let isBridged: Bool
    /// Scenarios that fail today. One that passes, or fails otherwise, fails the test until it is taken off the list.
    let known: [String: Gap]

    /// Why a scenario fails, and how what the run says of it begins.
    struct Gap {
        let reason: String
        let says: String

        init(_ reason: String, says: String) {
            self.reason = reason
            self.says = says
        }
    }

    var testDescription: String { "\(client.rawValue) client, \(server.rawValue) server, \(isBridged ? "bridged" : "direct")" }
    var target: String { "\(isBridged ? "bridge" : "direct"):\(server.rawValue)" }
    var revision: String { client == .modern ? "2026-07-28" : "2025-11-25" }
    var scenarios: [String] { (client == .modern ? Scenarios.modern : Scenarios.legacy).filter { !skipped.contains($0) } }
    /// The SDK loses calls of one id at the same time, and whoever made them waits.
    var skipped: [String] { isBridged || client == .modern ? [] : ["equal-ids"] }
    /// Where the server speaks the client's era without us, results must be the same.
    var control: [String] { isBridged && !(client == .modern && server == .legacy) ? ["--control", "direct:\(server.rawValue)"] : [] }

    static let all = [
        Cell(client: .legacy, server: .legacy, isBridged: false, known: library),
        Cell(client: .legacy, server: .modern, isBridged: false, known: library),
        Cell(
            client: .modern, server: .modern, isBridged: false,
            known: [
                "server-stateless/version-header-missing": Gap(
                    "the SDK takes it for a legacy request and answers without the id", says: #"id of the response: expected ["str", "v"], saw "#)
            ]),
        Cell(client: .legacy, server: .legacy, isBridged: true, known: [:]),
        Cell(client: .legacy, server: .modern, isBridged: true, known: [:]),
        Cell(client: .modern, server: .modern, isBridged: true, known: [:]),
        Cell(client: .modern, server: .legacy, isBridged: true, known: translated),
    ]

    private static let library = [
        "batch": Gap("the SDK dropped the arrays of 2025-03-26", says: "status of a batch at 2025-03-26: expected 200, saw 400"),
        "elicitation-undeclared": Gap("the SDK asks whoever calls", says: "expected no request, saw "),
    ]

    private static let translated = [
        // A legacy server cannot do these.
        "server-stateless/undeclared-capability": Gap("no -32021 before 2026-07-28", says: "expected an error, saw HTTP 200 "),
        "input-required-result-server-keys": Gap(
            "its questions have no keys: they are the bridge's", says: #"keys of inputRequests: expected ["user_name"], saw "#),
        "input-required-result-multiple-input-requests": Gap("its questions come one by one", says: "methods of inputRequests: expected "),
    ]
}
