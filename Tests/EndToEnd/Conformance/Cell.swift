import Testing

/// A client of one era before a server of one era: `docs/protocol.md` §1.8. Directly is the control: what fails there too is the
/// fixture's or the SDK's fault.
struct Cell: Sendable, CustomTestStringConvertible {
    enum Era: String { case legacy, modern }

    let client: Era
    let server: Era
    let isBridged: Bool
    /// Scenarios that fail today, and why. One that passes fails the test until it is taken off the list.
    let known: [String: String]

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
            known: ["server-stateless/version-header-missing": "the SDK takes it for a legacy request and answers without the id"]),
        Cell(client: .legacy, server: .legacy, isBridged: true, known: streams),
        Cell(client: .legacy, server: .modern, isBridged: true, known: streams),
        Cell(client: .modern, server: .modern, isBridged: true, known: [:]),
        Cell(client: .modern, server: .legacy, isBridged: true, known: translated),
    ]

    private static let library = [
        "batch": "the SDK dropped the arrays of 2025-03-26",
        "elicitation-undeclared": "the SDK asks whoever calls",
    ]

    private static let streams = [
        "server-sse-polling": "a STDIO server cannot end a stream early",
    ]

    private static let translated = [
        // A legacy server cannot do these.
        "server-stateless/undeclared-capability": "no -32021 before 2026-07-28",
        "input-required-result-server-keys": "its questions have no keys: they are the bridge's",
        "input-required-result-multiple-input-requests": "its questions come one by one",
    ]
}
