import Foundation
import TestSupport
import Testing

struct TranslationTableTests {
    /// `BERTH_PRINT_DOCS=1 swift test --filter TranslationTableTests` prints it anew.
    @Test func thePageIsTheTables() throws {
        let path = Repository.root + "/docs/translation.md"
        if ProcessInfo.processInfo.environment["BERTH_PRINT_DOCS"] != nil {
            try TranslationTable.page.write(toFile: path, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == TranslationTable.page)
    }

    @Test func noCellIsEmptyAndEachHasItsProof() throws {
        let bridged = Cell.all.filter(\.isBridged)
        let order = [(Cell.Era.legacy, Cell.Era.legacy), (.legacy, .modern), (.modern, .legacy), (.modern, .modern)]
        let tests = try functions()
        for row in TranslationTable.rows {
            #expect(row.cells.count == TranslationTable.cells.count, "\(row.part)")
            for ((client, server), entry) in zip(order, row.cells) {
                #expect(!entry.text.isEmpty && !entry.proofs.isEmpty, "\(row.part)")
                let cell = try #require(bridged.first { $0.client == client && $0.server == server })
                for proof in entry.proofs {
                    let isScenario = Scenarios.legacy.contains(proof) || Scenarios.modern.contains(proof)
                    let isProven = isScenario ? cell.scenarios.contains(proof) && cell.known[proof] == nil : tests.contains(proof)
                    #expect(isProven, "\(row.part), \(cell): nothing proves it by the name \(proof)")
                }
            }
        }
    }

    /// The names of all test functions: what follows `@Test`.
    private func functions() throws -> Set<String> {
        var names: Set<String> = []
        let files = try #require(FileManager.default.enumerator(atPath: Repository.root + "/Tests"))
        for case let file as String in files where file.hasSuffix(".swift") {
            let text = try String(contentsOfFile: Repository.root + "/Tests/" + file, encoding: .utf8)
            for test in text.components(separatedBy: "@Test").dropFirst() {
                if let match = test.firstMatch(of: /\bfunc ([A-Za-z0-9]+)\(/) { names.insert(String(match.1)) }
            }
        }
        return names
    }
}
