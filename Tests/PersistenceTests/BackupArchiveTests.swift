import Foundation
import Persistence
import Sealing
import TestSupport
import Testing

/// The archive of a backup: what is written is what is read, and nothing else is taken.
@Suite("backup archive")
struct BackupArchiveTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private static let layer = "orchestrator/images/layers/" + String(repeating: "ab", count: 32) + ".tar"
    private static let large = [UInt8](repeating: 7, count: 700_001)

    /// An archive of four files.
    private func archive(large: [UInt8] = large) throws -> [UInt8] {
        let path = scratch.file(UUID().uuidString)
        let output = open(path, O_RDWR | O_CREAT, 0o600)
        defer { close(output) }
        let writer = try BackupWriter(output, name: path, created: 1_800_000_000_000)
        try writer.add("listen", Array("127.0.0.1:8787\n".utf8))
        try writer.add("gateway/keys", Array("keys of the gateway".utf8))
        try writer.add("gateway/audit/loop0-000001.rows", [])
        try writer.begin(Self.layer, size: large.count)
        for start in stride(from: 0, to: large.count, by: 100_000) {
            try writer.append(Array(large[start..<min(start + 100_000, large.count)]))
        }
        try writer.end()
        _ = try writer.finish(BackupManifest(berth: "1.2.3", created: 1_800_000_000_000, holdsImages: true))
        return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// What reading these bytes gives: names with their contents, or the error.
    private func read(_ bytes: [UInt8]) throws -> Result<[String: [UInt8]], StateError> {
        let path = scratch.file(UUID().uuidString)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let input = open(path, O_RDONLY)
        defer { close(input) }
        do {
            let reader = try BackupReader(input, source: "the file")
            var found: [String: [UInt8]] = [:]
            while let entry = try reader.next() { found[entry.name] = try reader.all() }
            #expect(reader.manifest?.files.count == found.count)
            return .success(found)
        } catch {
            return .failure(error)
        }
    }

    private func refusal(_ bytes: [UInt8]) throws -> String {
        switch try read(bytes) {
        case .success(let found): "read \(found.keys.sorted())"
        case .failure(let error): error.message
        }
    }

    @Test func whatIsWrittenIsRead() async throws {
        let bytes = try archive()
        let found = try read(bytes).get()
        #expect(found["gateway/keys"] == Array("keys of the gateway".utf8) && found[Self.layer] == Self.large && found.count == 4)
        // Any tar lists it, and unpacks it.
        let path = scratch.file("x.tar")
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let tar = try await Command.run(["/bin/tar", "-C", scratch.path, "-xvf", path])
        #expect(tar.status == 0 && tar.output.contains("berth-backup\nlisten\ngateway/keys\n") && tar.output.hasSuffix("manifest.json\nmanifest.sha256\n"), "\(tar)")
        #expect(Array(try Data(contentsOf: URL(fileURLWithPath: scratch.file(Self.layer)))) == Self.large)
        // Padding to a tape's record is no damage.
        #expect(try read(bytes + [UInt8](repeating: 0, count: 10_240)).get().count == 4)
    }

    @Test func whatIsPassedOverIsCheckedAllTheSame() throws {
        var bytes = try archive()
        let middle = try #require(bytes.lastIndex(of: 7))
        bytes[middle - 300_000] ^= 1
        let path = scratch.file("x")
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let input = open(path, O_RDONLY)
        defer { close(input) }
        let reader = try BackupReader(input, source: "x")
        let thrown = #expect(throws: StateError.self) { while try reader.next() != nil {} }
        #expect(thrown?.message == "x cannot be used: \(Self.layer) was changed" && reader.manifest == nil)
    }

    @Test func cutAnywhereItIsCutOff() throws {
        let bytes = try archive()
        for end in [0, 1, 511, 512, 1_023] { #expect(try refusal(Array(bytes[..<end])) == "the file is no backup of Berth's", "\(end)") }
        // In a header, between two, in a file, in its padding, in the manifest, in the end.
        for end in [1_024, 1_100, 1_536, 1_540, 1_600, 3_000, 200_000, bytes.count - 1_500, bytes.count - 1_024, bytes.count - 600, bytes.count - 1] {
            #expect(try refusal(Array(bytes[..<end])) == "the file cannot be used: it is cut off", "\(end)")
        }
    }

    @Test func noByteCanBeChanged() throws {
        let bytes = try archive(large: Array(repeating: 7, count: 1_500))
        // Each that says something, and some of those that fill up.
        for place in bytes.indices where bytes[place] != 0 && bytes[place] != 7 || place % 23 == 0 {
            var changed = bytes
            changed[place] ^= 0x10
            if case .success(let found) = try read(changed) { Issue.record("byte \(place) was changed and nobody saw it: \(found.keys)") }
        }
    }

    @Test func foreignFilesAreNamedSo() throws {
        for bytes in [Array("text".utf8), [UInt8](repeating: 0, count: 4_096), [0x1F, 0x8B] + [UInt8](repeating: 3, count: 4_096)] {
            #expect(try refusal(bytes) == "the file is no backup of Berth's")
        }
        var newer = try archive()
        newer.replaceSubrange(512..<526, with: Array("berth-backup 2".utf8))
        #expect(try refusal(newer) == "the file was made by a newer berth")
    }

    /// Headers that hold by their sum, and say what no backup says.
    @Test(arguments: [
        ("../../etc/passwd", "0", "which no backup does"), ("/etc/passwd", "0", "which no backup does"), ("gateway/../keys", "0", "which no backup does"),
        ("gateway/audit.db", "0", "which no backup does"), ("orchestrator/images/layers/x.tar", "0", "which no backup does"),
        ("gateway/keys", "2", "something else than plain files"), ("gateway/keys", "1", "something else than plain files"),
        ("gateway/keys", "5", "something else than plain files"), ("gateway/keys", "x", "something else than plain files"),
        ("gateway/keys", "L", "something else than plain files"), ("listen", "0", "listen is in it twice"),
    ])
    func names(_ name: String, _ type: String, _ complaint: String) throws {
        // The second file's header stands behind the mark and `listen`, each a header and a block.
        let bytes = Self.sealed(try archive(), at: 2_048) { header in
            header.replaceSubrange(0..<100, with: Array(name.utf8) + [UInt8](repeating: 0, count: 100 - name.utf8.count))
            header[156] = Array(type.utf8)[0]
        }
        let found = try refusal(bytes)
        #expect(found.contains(complaint), "\(found)")
    }

    @Test func sizesThatCannotBe() throws {
        for (size, complaint) in [("77777777777", "gateway/keys is too large"), ("00000200001", "gateway/keys is too large"), ("8", "plain files"), ("-0000000001", "plain files")] {
            let bytes = Self.sealed(try archive(), at: 2_048) { $0.replaceSubrange(124..<(124 + size.utf8.count), with: Array(size.utf8)) }
            let found = try refusal(bytes)
            #expect(found.contains(complaint), "\(size): \(found)")
        }
    }

    /// The archive with another manifest, sealed anew, as by somebody who knows how.
    private static func edited(_ bytes: [UInt8], _ edit: (inout String) -> Void) throws -> [UInt8] {
        let start = try #require(find(Array(#"{"berth""#.utf8), in: bytes))
        let length = try #require(bytes[start...].firstIndex(of: 0)) - start
        var text = String(decoding: bytes[start..<(start + length)], as: UTF8.self)
        edit(&text)
        var whole = Array(bytes[..<start])
        whole = sealed(whole, at: start - 512) { header in
            let digits = String(text.utf8.count, radix: 8)
            header.replaceSubrange(124..<135, with: Array((String(repeating: "0", count: 11 - digits.count) + digits).utf8))
        }
        let content = Array(text.utf8)
        let seal = Array((Hex.encode(try SHA256.digest(content)) + "\n").utf8)
        let header = Array(bytes[(bytes.count - 2_048)..<(bytes.count - 1_536)])
        return whole + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512) + header + seal
            + [UInt8](repeating: 0, count: 447 + 1_024)
    }

    /// A backup of every layout there ever was is read: of a connector's source what that layout told.
    @Test(arguments: [
        // From `berth backup`'s first commit to 28 November 2026.
        (
            #"[{"name":"time","pypi":"mcp-server-time==2026.1.1"},{"folder":"notes","name":"notes"},{"name":"tool"}]"#,
            [
                BackupManifest.Connector(name: "time", source: "--pypi 'mcp-server-time==2026.1.1'", note: nil),
                .init(name: "notes", source: "--dir DIR", note: "the folder notes"),
                .init(name: "tool", source: "SOURCE", note: "what it was added with"),
            ]
        ),
        (
            #"[{"name":"time","source":"--pypi 'mcp-server-time'"},{"name":"notes","note":"the folder notes","source":"--dir DIR"}]"#,
            [
                BackupManifest.Connector(name: "time", source: "--pypi 'mcp-server-time'", note: nil),
                .init(name: "notes", source: "--dir DIR", note: "the folder notes"),
            ]
        ),
    ])
    func earlierLayouts(connectors: String, expected: [BackupManifest.Connector]) throws {
        let path = scratch.file("earlier")
        let bytes = try Self.edited(try archive()) { $0.replace(#""connectors":[]"#, with: #""connectors":\#(connectors)"#) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let input = open(path, O_RDONLY)
        defer { close(input) }
        let reader = try BackupReader(input, source: "the file")
        while try reader.next() != nil {}
        #expect(reader.manifest?.connectors == expected)
    }

    /// The manifest and the files must say the same, in both directions.
    @Test func manifestAndFilesAgree() throws {
        let bytes = try archive()
        func edited(_ edit: (inout String) -> Void) throws -> [UInt8] { try Self.edited(bytes, edit) }
        #expect(try read(try edited { _ in }).get().count == 4)
        let rows: [((inout String) -> Void, String)] = [
            ({ $0 = "{" }, "its manifest cannot be read"), ({ $0.replace(#""stateVersion":1"#, with: #""stateVersion":0"#) }, "names no state version"),
            ({ $0.replace(#""stateVersion":1"#, with: #""stateVersion":9"#) }, "was made by a newer berth (1.2.3, state version 9)"),
            ({ $0.replace(#""name":"listen""#, with: #""name":"gateway/gateway.db""#) }, "gateway/gateway.db is missing"),
            ({ $0.replace(#""size":15"#, with: #""size":14"#) }, "listen was changed"),
            ({ $0.replace(#"{"name":"listen""#, with: #"{"name":"gateway/keys""#) }, "gateway/keys was changed"),
            ({ text in
                guard let start = text.firstRange(of: #"{"name":"listen""#)?.lowerBound, let end = text[start...].firstIndex(of: "}") else { return }
                let next = text.index(after: end)
                let isLast = text[next] == "]"
                text.removeSubrange(isLast ? text.index(before: start)..<next : start..<text.index(after: next))
            }, "files that its manifest does not name"),
        ]
        for (edit, complaint) in rows {
            let found = try refusal(try edited(edit))
            #expect(found.contains(complaint), "\(complaint): \(found)")
        }
        #expect(try refusal(bytes + [1]).contains("something follows its end"))
        var tail = bytes
        tail[tail.count - 1_000] = 1
        #expect(try refusal(tail).contains("something follows its manifest"))
    }

    @Test func aWriterTakesNoOtherNames() throws {
        let output = open(scratch.file("x"), O_RDWR | O_CREAT, 0o600)
        defer { close(output) }
        let writer = try BackupWriter(output, name: "x", created: 0)
        for name in ["gateway/audit.db", "gateway/audit/x", "manifest.json", "berth-backup", "a/b/c/d/e", ""] {
            #expect(throws: StateError.self, "\(name)") { try writer.add(name, []) }
        }
        // What becomes longer or shorter while it is read is told, and not written as if it were whole.
        try writer.begin("gateway/gateway.db", size: 3)
        #expect(throws: StateError.self) { try writer.append([1, 2, 3, 4]) }
        try writer.append([1, 2])
        #expect(throws: StateError.self) { try writer.end() }
    }

    // MARK: Bytes

    /// The header at `offset` after a change, with the sum that it has then.
    private static func sealed(_ bytes: [UInt8], at offset: Int, _ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var header = Array(bytes[offset..<(offset + 512)])
        change(&header)
        for index in 148..<156 { header[index] = 32 }
        let digits = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
        header.replaceSubrange(148..<156, with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 32])
        return Array(bytes[..<offset]) + header + Array(bytes[(offset + 512)...])
    }

    private static func find(_ pattern: [UInt8], in bytes: [UInt8]) -> Int? {
        bytes.indices.first { bytes[$0] == pattern[0] && bytes[$0...].starts(with: pattern) }
    }
}
