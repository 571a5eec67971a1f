import Foundation
import Gateway
import TestSupport
import Testing

@Suite("audit journal")
struct AuditJournalTests {
    let fixture: AuditFixture

    init() throws { fixture = try AuditFixture() }

    @Test func rowsAreChainedFromTheFirst() throws {
        let journal = try fixture.journal()
        let rows = try (1...5).map { try journal.append(AuditFixture.call($0)) }
        #expect(rows.map(\.sequence) == [1, 2, 3, 4, 5])
        #expect(rows[0].previousHash == String(repeating: "0", count: 64))
        for (before, after) in zip(rows, rows.dropFirst()) { #expect(after.previousHash == before.hash) }
        let report = try AuditVerification.verify(directory: fixture.directory)
        #expect(report.isIntact && report.missingPayloads == 0)
        #expect(report.chains.map(\.rows) == [5] && report.chains.first?.lastHash == rows[4].hash)
        for name in ["l0-000001.rows", "l0-000001.payloads"] { #expect(try fixture.mode(name) == 0o600) }
    }

    @Test func noTextOfARowIsLongerThanItsBound() throws {
        let fixture = try AuditFixture()
        let journal = try fixture.journal()
        let endless = "e" + String(repeating: "\u{301}", count: 500_000)
        var row = AuditRow(method: endless, outcome: .error, principal: endless)
        for text in [\AuditRow.virtualMCP, \.tool, \.exposedTool, \.session, \.reason] { row[keyPath: text] = endless }
        let written = try journal.append(row)
        #expect(written.reason.utf8.count <= 1_024 && !written.reason.contains("\u{FFFD}"))
        #expect(try fixture.bytes("l0-000001.rows").count < 16 << 10)
        #expect(try AuditVerification.verify(directory: fixture.directory).isIntact)
    }

    @Test func aBatchIsOneWriteAndOneNotice() throws {
        let notices = Notices()
        let journal = try fixture.journal { notices.add($0) }
        let rows = try journal.append((1...100).map { AuditFixture.call($0, payload: $0 % 2 == 0) })
        #expect(notices.counts == [100])
        #expect(rows.map(\.sequence) == Array(1...100))
        #expect(try AuditVerification.verify(directory: fixture.directory).chains.first?.rows == 100)
        #expect(try journal.append([]) == [])
    }

    @Test func theChainGoesOnAfterReopening() throws {
        let last = try fixture.journal().append(AuditFixture.call(1)).hash
        let row = try fixture.journal().append(AuditFixture.call(2, payload: false))
        #expect(row.sequence == 2 && row.previousHash == last)
        let third = try fixture.journal().append(AuditFixture.call(3))
        #expect(third.sequence == 3 && third.previousHash == row.hash)
        let report = try AuditVerification.verify(directory: fixture.directory)
        #expect(report.isIntact && report.missingPayloads == 0)
    }

    @Test func segmentsRollAndTheChainRunsThrough() throws {
        let journal = try fixture.journal(segmentSize: 2_000)
        for number in 1...20 { try journal.append(AuditFixture.call(number)) }
        #expect(try fixture.names().filter { $0.hasSuffix(".rows") }.count > 3)
        #expect(try fixture.journal(segmentSize: 2_000).append(AuditFixture.call(21)).sequence == 21)
        let report = try AuditVerification.verify(directory: fixture.directory)
        #expect(report.isIntact && report.chains.first?.rows == 21 && report.missingPayloads == 0)
        try FileManager.default.removeItem(atPath: fixture.directory + "/l0-000002.rows")
        #expect(try AuditVerification.verify(directory: fixture.directory).firstBroken?.reason == "segment 2 is missing")
    }

    /// A kill between any two bytes of the last line: every cut is repaired, recorded and verifies.
    @Test func everyTornTailIsRepairedAndRecorded() throws {
        let journal = try fixture.journal()
        for number in 1...2 { try journal.append(AuditFixture.call(number)) }
        let twoRows = try fixture.bytes("l0-000001.rows")
        let twoPayloads = try fixture.bytes("l0-000001.payloads")
        let third = try journal.append(AuditFixture.call(3))
        let threeRows = try fixture.bytes("l0-000001.rows")
        let threePayloads = try fixture.bytes("l0-000001.payloads")
        for cut in stride(from: twoRows.count, to: threeRows.count, by: 37) {
            try fixture.write(Array(threeRows[..<cut]), "l0-000001.rows")
            try fixture.write(threePayloads, "l0-000001.payloads")
            let reopened = try fixture.journal()
            let torn = cut - twoRows.count
            #expect(reopened.repairedBytes == torn)
            #expect(reopened.sequence == (torn == 0 ? 2 : 3))
            #expect(try fixture.bytes("l0-000001.payloads") == twoPayloads, "a payload without its row goes with it")
            if torn > 0 {
                let line = String(decoding: try fixture.bytes("l0-000001.rows").dropFirst(twoRows.count), as: UTF8.self)
                #expect(line.contains("audit/repair") && line.contains("\(torn) bytes"))
            }
            try reopened.append(AuditFixture.call(4))
            let report = try AuditVerification.verify(directory: fixture.directory)
            #expect(report.isIntact && report.missingPayloads == 0)
        }
        // A whole last line needs no repair.
        try fixture.write(threeRows, "l0-000001.rows")
        try fixture.write(threePayloads, "l0-000001.payloads")
        let reopened = try fixture.journal()
        #expect(reopened.repairedBytes == 0 && reopened.sequence == 3)
        #expect(try reopened.append(AuditFixture.call(4)).previousHash == third.hash)
    }

    @Test func theFirstBrokenRowIsNamed() throws {
        let journal = try fixture.journal()
        for number in 1...4 { try journal.append(AuditFixture.call(number)) }
        let good = try fixture.bytes("l0-000001.rows")
        let lines = good.split(separator: UInt8(ascii: "\n")).map(Array.init)
        func broken(_ lines: [[UInt8]]) throws -> AuditVerification.Report.Broken? {
            try fixture.write(lines.flatMap { $0 + [UInt8(ascii: "\n")] }, "l0-000001.rows")
            return try AuditVerification.verify(directory: fixture.directory).firstBroken
        }
        var changed = lines
        changed[2] = Array(String(decoding: lines[2], as: UTF8.self).replacing("alice", with: "mally").utf8)
        #expect(try broken(changed)?.line == 3)
        #expect(try broken(changed)?.reason == "the row was changed")
        #expect(try broken([lines[0], lines[2], lines[3]])?.reason == "a row before it is missing or was changed")
        #expect(try broken([lines[1], lines[0]])?.line == 1)
        #expect(try broken(Array(lines.dropFirst()))?.line == 1)
        #expect(try broken(lines) == nil)
        try fixture.write(Array(good.dropLast(1)) + [0x20, 0x0A], "l0-000001.rows")
        #expect(try AuditVerification.verify(directory: fixture.directory).firstBroken?.line == 4, "a stray byte is a change")
    }

    @Test func aChainWithABrokenLastRowIsNotContinued() throws {
        try fixture.journal().append(AuditFixture.call(1))
        let text = String(decoding: try fixture.bytes("l0-000001.rows"), as: UTF8.self)
        try fixture.write(Array(text.replacing("alice", with: "mally").utf8), "l0-000001.rows")
        let error = #expect(throws: AuditError.self) { _ = try fixture.journal() }
        #expect(error?.code == .damaged)
    }

    @Test func payloadsMayGoWithoutBreakingTheChain() throws {
        let journal = try fixture.journal()
        for number in 1...3 { try journal.append(AuditFixture.call(number)) }
        try FileManager.default.removeItem(atPath: fixture.directory + "/l0-000001.payloads")
        let report = try AuditVerification.verify(directory: fixture.directory)
        #expect(report.isIntact && report.missingPayloads == 3)
        #expect(try fixture.journal().append(AuditFixture.call(4)).sequence == 4)
        #expect(try AuditVerification.verify(directory: fixture.directory).missingPayloads == 3)
    }

    /// Whoever can write the files could put other arguments and results in their place.
    @Test func aChangedPayloadIsABrokenRow() throws {
        let journal = try fixture.journal()
        for number in 1...3 { try journal.append(AuditFixture.call(number)) }
        let name = "l0-000001.payloads"
        let good = try fixture.bytes(name)
        for index in stride(from: 0, to: good.count, by: 5) where good[index] != UInt8(ascii: "\n") {
            var changed = good
            changed[index] ^= 1
            try fixture.write(changed, name)
            let broken = try AuditVerification.verify(directory: fixture.directory).firstBroken
            #expect(broken?.reason == "its arguments or result were changed", "byte \(index)")
        }
        try fixture.write(good, name)
        #expect(try AuditVerification.verify(directory: fixture.directory).isIntact)
    }

    @Test func filesThatOthersCanReadAreRefused() throws {
        try fixture.journal().append(AuditFixture.call(1))
        let path = fixture.directory + "/l0-000001.rows"
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        let error = #expect(throws: AuditError.self) { _ = try fixture.journal() }
        #expect(error?.message.hasSuffix("is open to other users: chmod 600 \(path)") == true, "\(error?.message ?? "")")
    }

    @Test func whatCannotBeWrittenThrowsAndLeavesNoTrace() throws {
        let journal = try fixture.journal(segmentSize: 1)
        let first = try journal.append(AuditFixture.call(1))
        // The next row needs a new segment, and there is no directory for it.
        let away = fixture.root + "/away"
        try FileManager.default.moveItem(atPath: fixture.directory, toPath: away)
        for _ in 0..<3 {
            let error = #expect(throws: AuditError.self) { try journal.append(AuditFixture.call(2)) }
            #expect(error?.code == .cannotWrite)
        }
        #expect(journal.sequence == 1)
        try FileManager.default.moveItem(atPath: away, toPath: fixture.directory)
        let second = try journal.append(AuditFixture.call(2))
        #expect(second.sequence == 2 && second.previousHash == first.hash)
        #expect(try AuditVerification.verify(directory: fixture.directory).isIntact)
    }

    @Test(.enabled(if: SmallDisk.isPossible, "a file system of its own needs root"))
    func aFullDiskRefusesRowsWholeAndRecovers() async throws {
        struct Seen {
            var kept = 0
            var failure: AuditError?
            var full: AuditVerification.Report?
            var next: Int64?
            var after: AuditVerification.Report?
        }
        let seen = try await SmallDisk.run(bytes: 64 << 10) { folder in
            let small = try AuditFixture(root: folder)
            let journal = try small.journal()
            var seen = Seen()
            while seen.failure == nil && seen.kept < 10_000 {
                do throws(AuditError) {
                    try journal.append(AuditFixture.call(seen.kept))
                    seen.kept += 1
                } catch { seen.failure = error }
            }
            seen.full = try AuditVerification.verify(directory: small.directory)
            truncate(small.directory + "/l0-000001.payloads", 0)
            seen.next = try journal.append(AuditFixture.call(0, payload: false)).sequence
            seen.after = try AuditVerification.verify(directory: small.directory)
            return seen
        }
        #expect(seen.failure?.code == .cannotWrite && seen.kept > 10)
        #expect(seen.full?.isIntact == true && seen.full?.chains.first?.rows == seen.kept && seen.full?.missingPayloads == 0)
        #expect(seen.next == Int64(seen.kept) + 1)
        #expect(seen.after?.isIntact == true && seen.after?.chains.first?.rows == seen.kept + 1)
    }

    @Test func otherChainsShareTheDirectory() throws {
        let one = try fixture.journal()
        let two = try fixture.journal(chain: "control")
        try one.append(AuditFixture.call(1))
        try two.append(AuditFixture.call(1))
        try one.append(AuditFixture.call(2))
        let report = try AuditVerification.verify(directory: fixture.directory)
        #expect(report.isIntact && report.chains.map(\.chain) == ["control", "l0"] && report.chains.map(\.rows) == [1, 2])
        #expect(throws: AuditError.self) { _ = try fixture.journal(chain: "../x") }
    }

    @Test func aWideDirectoryIsRefused() throws {
        try fixture.journal().append(AuditFixture.call(1))
        chmod(fixture.directory, 0o755)
        #expect(throws: (any Error).self) { _ = try fixture.journal() }
    }
}

/// Counts what a journal told.
private final class Notices: @unchecked Sendable {
    // Used by one test on one thread.
    private(set) var counts: [Int] = []
    func add(_ rows: [AuditRow]) { counts.append(rows.count) }
}
