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

    @Test(arguments: Cell.all) func everyScenario(_ cell: Cell) async throws {
        let run = [Repository.root + "/.venv-conformance/bin/python", "-B", Repository.root + "/Tests/Conformance/run.py"]
        let result = try await Command.run(
            run + [cell.target, "--revision", cell.revision, "--json"] + cell.control + cell.skipped.flatMap { ["--skip", $0] },
            environment: ["BERTH_BRIDGE": Repository.binary("berth")], seconds: 300)
        let lines = result.output.split(separator: "\n").map { Data($0.utf8) }
        let outcomes = try lines.map { try JSONDecoder().decode(Outcome.self, from: $0) }
        let (ran, wanted) = (Set(outcomes.map(\.scenario)), Set(cell.scenarios))
        #expect(wanted.subtracting(ran).isEmpty, "scenarios that were not run: \(result.errors)")
        #expect(ran.subtracting(wanted).isEmpty, "scenarios that Scenarios.swift does not name")
        #expect(cell.known.keys.allSatisfy(cell.scenarios.contains), "a scenario of the list has another name")
        for outcome in outcomes {
            if let reason = cell.known[outcome.scenario] {
                #expect(!outcome.passed, "\(outcome.scenario) passes: take it off the list (\(reason))")
            } else {
                #expect(outcome.passed, "\(outcome.scenario): \(outcome.why)")
            }
        }
    }
}
