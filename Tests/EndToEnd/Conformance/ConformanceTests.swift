import Foundation
import TestSupport
import Testing

/// The official suite's server scenarios with our own raw client (`Tests/Conformance`), for every cell of client and server era.
@Suite(.serialized)
struct ConformanceTests {
    private struct Outcome: Decodable {
        let scenario: String
        let passed: Bool
        let why: String
    }

    private static let run = [Repository.root + "/.venv-conformance/bin/python", "-B", Repository.root + "/Tests/Conformance/run.py"]

    /// Where the revisions' JSON schemas are, which are not this repository's: `MCP_SCHEMA_DIR`, or beside the checkout.
    private static let schemas =
        ProcessInfo.processInfo.environment["MCP_SCHEMA_DIR"].map { $0.isEmpty ? defaultSchemas : $0 } ?? defaultSchemas
    private static let defaultSchemas = (Repository.root as NSString).deletingLastPathComponent + "/shared/schema"

    /// Skipped, it says in the summary of a run that nothing was held against the schemas.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: schemas), "messages are not held against schemas: set MCP_SCHEMA_DIR"))
    func messagesAreHeldAgainstTheSchemas() async throws {
        for cell in Cell.all.filter({ !$0.isBridged }) {
            let result = try await Command.run(Self.run + [cell.target, "--revision", cell.revision, "--only", "tools-list"], seconds: 300)
            #expect(result.status == 0 && result.errors.contains("held against \(Self.schemas)/\(cell.revision).json\n"), "\(result)")
        }
        // Where the folder is named, a schema that is missing in it is a mistake.
        let result = try await Command.run(
            Self.run + ["direct:legacy", "--revision", "2025-11-25"], environment: ["MCP_SCHEMA_DIR": "/nonexistent"], seconds: 300)
        #expect(result.status == 1 && result.errors == "schemas: MCP_SCHEMA_DIR has no /nonexistent/2025-11-25.json\n", "\(result)")
    }

    @Test(arguments: Cell.all) func everyScenario(_ cell: Cell) async throws {
        let result = try await Command.run(
            Self.run + [cell.target, "--revision", cell.revision, "--json"] + cell.control + cell.skipped.flatMap { ["--skip", $0] },
            environment: ["BERTH_BRIDGE": Repository.binary("berth")], seconds: 300)
        let lines = result.output.split(separator: "\n").map { Data($0.utf8) }
        let outcomes = try lines.map { try JSONDecoder().decode(Outcome.self, from: $0) }
        let (ran, wanted) = (Set(outcomes.map(\.scenario)), Set(cell.scenarios))
        #expect(wanted.subtracting(ran).isEmpty, "scenarios that were not run: \(result.errors)")
        #expect(ran.subtracting(wanted).isEmpty, "scenarios that Scenarios.swift does not name")
        #expect(cell.known.keys.allSatisfy(cell.scenarios.contains), "a scenario of the list has another name")
        for outcome in outcomes {
            if let gap = cell.known[outcome.scenario] {
                #expect(!outcome.passed, "\(outcome.scenario) passes: take it off the list (\(gap.reason))")
                #expect(outcome.passed || outcome.why.hasPrefix(gap.says), "\(outcome.scenario): not \(gap.reason), but \(outcome.why)")
            } else {
                #expect(outcome.passed, "\(outcome.scenario): \(outcome.why)")
            }
        }
    }
}
