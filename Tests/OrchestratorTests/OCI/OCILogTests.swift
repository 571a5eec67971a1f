import Foundation
import Testing

@testable import Orchestrator

@Suite struct OCILogTests {
    private let start = ContinuousClock.now

    @Test("a budget keeps what fits, drops what does not, and says how much when there is room again")
    func budget() {
        var budget = LogBudget(capacity: 800, bytesPerSecond: 100, now: start)
        #expect(budget.admit(700, now: start) == .keep)
        #expect(budget.admit(200, now: start) == .drop)
        #expect(budget.admit(50, now: start) == .drop, "room is saved first")
        #expect(budget.admit(10, now: start + .seconds(1)) == .keepAfterNotice(dropped: 250))
        #expect(budget.admit(10, now: start + .seconds(1)) == .keep)
    }

    @Test("lines survive any split, are bounded, and hold no control characters")
    func lines() {
        let text = Array("one\ntwo\u{1B}[31m\ttab\n".utf8) + [UInt8](repeating: 97, count: LogLines.limit + 100) + [10, 120]
        for size in [1, 2, 7, text.count] {
            var lines = LogLines()
            var found: [[UInt8]] = []
            for offset in stride(from: 0, to: text.count, by: size) {
                lines.append(text[offset..<min(offset + size, text.count)]) { found.append($0) }
            }
            lines.finish { found.append($0) }
            #expect(found.map(\.count) == [3, 12, LogLines.limit + 6, 1])
            #expect(found[1] == Array("two?[31m\ttab".utf8))
        }
    }

    @Test("nothing of a line steers a terminal: two- and three-byte controls are replaced too, whatever else stays")
    func steering() {
        for (given, expected) in [
            ("a\u{9B}31mb", "a?31mb"), ("a\u{85}b", "a?b"), ("a\u{202E}b", "a?b"), ("a\u{2028}b\u{2066}", "a?b?"),
            ("a\u{A0}é€ ’\u{2027}😀", "a\u{A0}é€ ’\u{2027}😀"),
        ] {
            var lines = LogLines()
            for byte in Array(given.utf8) { lines.append([byte]) { _ in } }
            lines.finish { #expect(String(decoding: $0, as: UTF8.self) == expected) }
        }
    }

    @Test("a log is one full file and the one before it")
    func rotation() throws {
        let path = "/tmp/berth-log-\(UInt32.random(in: 0 ... .max))"
        defer { for suffix in ["", ".1"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
        var file = LogFile(path: path)
        for index in 0..<40 { file.append(Array((String(repeating: "x", count: 100_000) + "\n\(index)\n").utf8)) }
        file.close()
        #expect(try #require(Files.status(path)).st_size <= LogFile.limit)
        #expect(try #require(Files.status(path + ".1")).st_size <= LogFile.limit)
        #expect(LogFile.tail(path: path, lines: 1) == "39\n")
        #expect(LogFile.tail(path: path, lines: 1000).split(separator: "\n").count < 44)
        #expect(LogFile.tail(path: path + "-none", lines: 5) == "")
    }

    @Test("a dead child is reaped after the grace, and not before")
    func orphans() {
        var sweep = OrphanSweep(grace: .seconds(5))
        #expect(sweep.overdue([7, 8], now: start) == [])
        #expect(sweep.overdue([8, 9], now: start + .seconds(4)) == [])
        #expect(sweep.overdue([8, 9], now: start + .seconds(5)) == [8])
        #expect(sweep.overdue([7], now: start + .seconds(6)) == [], "another process with a number seen before")
    }
}
