import Foundation
import Glibc
import MachineAPI
import Testing

@testable import Orchestrator

@Suite struct ReleaseRulesTests {
    @Test(arguments: [
        // One letter more, less, other; two neighbours.
        ("mcp-server-tme", "mcp-server-time"), ("mcp-server-timee", "mcp-server-time"), ("mcp-server-tine", "mcp-server-time"),
        ("mcp-sevrer-time", "mcp-server-time"), ("cp-server-time", "mcp-server-time"), ("mcp-server-gitt", "mcp-server-git"),
        // Separators, another home for the same words, and signs that look alike.
        ("mcpservertime", "mcp-server-time"), ("mcp-server-t1me", "mcp-server-time"), ("fast-mcp", "fastmcp"),
        ("modelcontextprotocol-server-github", "@modelcontextprotocol/server-github"), ("@modelcontextprotoco1/server-github", "@modelcontextprotocol/server-github"),
        ("@modelcontextprotocol/server-githud", "@modelcontextprotocol/server-github"), ("p1aywright", nil), ("firecrawl-rncp", "firecrawl-mcp"),
        ("github/github-mcp-servr", "github/github-mcp-server"),
        // Well-known ones themselves, and what is like none.
        ("mcp-server-time", nil), ("MCP-Server-Time", nil), ("@playwright/mcp", nil), ("berth-demo", nil), ("mcp-server-timetable", nil), ("", nil),
        ("a", nil), ("mcp-server-emit", nil),
    ])
    func aNameThatIsAlmostAKnownOneIsFound(_ name: String, _ known: String?) {
        let kind: ReleaseReport.Kind = name.hasPrefix("@") ? .npm : name.contains("/") ? .oci : .pypi
        #expect(KnownServers.standard.resembled(by: name, kind) == known)
    }

    @Test func aKnownNameIsAStrangersWhereAnotherKindHasIt() {
        for (name, kind) in [("mcp-server-time", ReleaseReport.Kind.npm), ("mcp-server-fetch", .npm), ("@playwright/mcp", .oci), ("mcp/fetch", .npm)] {
            #expect(KnownServers.standard.resembled(by: name, kind) == name, "\(name)")
            let doubts = ReleaseRules().doubts(ReleaseReport(kind: kind, name: name, accept: name))
            #expect(doubts.contains { $0.text == "\(name) is known of another kind than \(kind.rawValue)" }, "\(doubts)")
        }
    }

    @Test func oneStepIsOneStep() {
        func isStep(_ a: String, _ b: String) -> Bool { KnownServers.isOneStep(Array(a.utf8), Array(b.utf8)) }
        for (a, b) in [("abc", "abd"), ("abc", "ab"), ("ab", "abc"), ("abc", "bac"), ("abc", "acb"), ("", "a"), ("a", "b")] { #expect(isStep(a, b) && isStep(b, a), "\(a) \(b)") }
        for (a, b) in [("abc", "abc"), ("abc", "bca"), ("abc", "a"), ("abcd", "badc"), ("", ""), ("", "ab"), ("abc", "cba")] { #expect(!isStep(a, b) && !isStep(b, a), "\(a) \(b)") }
    }

    @Test func anOperatorAddsNames() throws {
        let scratch = ImagesScratch()
        let file = try scratch.file("known", "# ours\npypi Our_Server\n\n  npm @ours/server # beside it\noci ours/server\n")
        let known = try KnownServers(adding: file)
        #expect(known.resembled(by: "our-servr", .pypi) == "our-server" && known.resembled(by: "@ours/servers", .npm) == "@ours/server")
        #expect(known.resembled(by: "our-server", .pypi) == nil && known.resembled(by: "mcp-server-tme", .pypi) == "mcp-server-time")
        for (text, says) in [("pypi", "line 1"), ("pypi a b", "line 1"), ("npm x\ncargo y", "line 2"), ("pypi a\u{1B}[2J", "line 1"), ("pypi ünï", "line 1")] {
            let failure = #expect(throws: ImageBuildFailure.self) { try KnownServers(adding: try scratch.file("bad", text)) }
            #expect(failure?.error == "bad_list" && failure?.message.contains(says) == true, "\(text) \(String(describing: failure))")
        }
        #expect(throws: ImageBuildFailure.self) { try KnownServers(adding: scratch.path + "/none") }
        let many = (0...20_000).map { "pypi name-\($0)\n" }.joined()
        #expect(throws: ImageBuildFailure.self) { try KnownServers(adding: try scratch.file("many", many)) }
    }

    private func report(_ facts: ReleaseFacts?, version: String? = "1.0", now: Int = 1_700_000_000, age: Int = 72 * 3_600) -> ReleaseReport {
        ReleaseReport(.pypi, name: "demo", version: version, facts: facts, now: now, rules: ReleaseRules(age: age))
    }

    @Test func youngAndUnknownAgesAreDoubtful() {
        func doubt(_ uploaded: Int?, age: Int = 72 * 3_600) -> ReleaseReport.Doubt.Reason? {
            report(ReleaseFacts(name: "demo", uploaded: uploaded), age: age).doubts.first?.reason
        }
        let now = 1_700_000_000
        #expect(doubt(now - 72 * 3_600) == nil && doubt(now - 72 * 3_600 + 1) == .young && doubt(now) == .young && doubt(now + 60) == .young)
        #expect(doubt(nil) == .ageUnknown && doubt(now + 86_400) == .ageUnknown && doubt(-5) == .ageUnknown && doubt(Int.max) == .ageUnknown)
        #expect(doubt(now - 3_600, age: 3_600) == nil && doubt(now, age: 0) == nil && doubt(nil, age: 0) == nil)
        // An index that says nothing at all.
        #expect(report(nil).doubts.map(\.reason) == [.ageUnknown])
        #expect(report(ReleaseFacts(name: "demo", uploaded: now - 3 * 3_600)).doubts.first?.text == "it was published 3 hours ago, less than 72 hours")
    }

    @Test func whatAnIndexSaysIsCutAndMadePrintable() {
        let facts = ReleaseFacts(
            name: "demo", version: "1.0; rm -rf /", uploaded: 1, author: "Mallory\u{1B}[2J\u{1B}]0;owned\u{7}\r\n\u{202E}\u{200B}exe" + String(repeating: "x", count: 5_000),
            publishers: (0..<50).map { "p\($0)\u{9B}31m" } + ["\u{200B}\n"], bytes: -1)
        let report = report(facts, version: nil)
        #expect(report.version == nil && report.accept == "demo" && report.bytes == nil && report.exact == false)
        #expect(report.publishers.count == 10 && report.publishers.first == "p0\u{FFFD}31m")
        let author = report.author ?? ""
        #expect(author.hasPrefix("Mallory\u{FFFD}[2J") && author.count <= 120)
        #expect(author.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0.properties.generalCategory != .format })
        // The version of a lock counts, whatever the index says.
        #expect(self.report(ReleaseFacts(name: "demo", version: "9", uploaded: 1)).accept == "demo==1.0")
    }

    @Test(arguments: ["", "{", "[]", #"{"releases":{}}"#, #"{"releases":[{"name":1}]}"#, #"{"releases":[{"name":"demo","uploaded":"now"}]}"#])
    func aDocumentThatIsNoneTellsNothing(_ text: String) { #expect(ReleaseFacts.read(Array(text.utf8)).isEmpty) }

    @Test func agesAreWords() {
        for (seconds, text) in [(0, "0 seconds"), (1, "1 second"), (60, "1 minute"), (7_199, "1 hour"), (72 * 3_600, "72 hours"), (96 * 3_600, "4 days")] {
            #expect(ReleaseAge.text(seconds) == text)
        }
    }
}
