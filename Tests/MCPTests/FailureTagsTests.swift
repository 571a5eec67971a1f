import Foundation
import TestSupport
import Testing

/// Every known failure has a test that carries its tag.
struct FailureTagsTests {
    @Test func everyKnownFailureHasATest() throws {
        let folder = URL(fileURLWithPath: Repository.root + "/Tests")
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var used: Set<String> = []
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            for list in text.matches(of: /@(?:Test|Suite)\([^"]*?\.tags\(([^)]*)\)/) {
                used.formUnion(list.1.matches(of: /\.(failure\d\d)\b/).map { String($0.1) })
            }
        }
        let all = (1...28).map { "failure" + ($0 < 10 ? "0" : "") + "\($0)" }
        #expect(all.filter { !used.contains($0) } == [], "no test has these tags")
        #expect(used.subtracting(all) == [])
    }
}
