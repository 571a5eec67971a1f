import Foundation
import JSONText
import Synchronization
import TestSupport
import Testing

@testable import AuthorCommands

/// A file that is replaced as a whole or not at all.
@Suite struct ConfigFileTests {
    private static func inFolder<T>(_ body: (String) throws -> T) throws -> T {
        let folder = FileManager.default.temporaryDirectory.path + "/berth-config-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try body(folder)
    }

    private static func message(_ body: () throws -> Void) -> String {
        do { try body() } catch { return (error as? Failure)?.message ?? "\(error)" }
        return "nothing"
    }

    @Test func theOldFileIsKeptBesideTheNewOne() throws {
        try Self.inFolder { folder in
            let path = folder + "/new/a.json"
            #expect(try ConfigFile(path).write(Array("1".utf8)) == nil)
            for (number, name) in ["a.json.before-berth", "a.json.before-berth.2"].enumerated() {
                let file = try ConfigFile(path)
                #expect(try file.write(Array("\(number + 2)".utf8)) == folder + "/new/" + name)
                #expect(try String(contentsOfFile: folder + "/new/" + name, encoding: .utf8) == "\(number + 1)")
            }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "3")
        }
    }

    @Test func whoWroteMeanwhileLosesNothing() throws {
        try Self.inFolder { folder in
            let path = folder + "/a.json"
            try Data("{}".utf8).write(to: URL(fileURLWithPath: path))
            let file = try ConfigFile(path)
            try Data("{\"b\":1}".utf8).write(to: URL(fileURLWithPath: path))
            #expect(Self.message { _ = try file.write(Array("x".utf8)) } == "\(path) has just changed")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.json"])
        }
    }

    @Test func itWaitsForWhoeverWritesThere() async throws {
        try await withFolder(["a.json": "{}"]) { folder in
            let path = folder + "/a.json"
            let file = try ConfigFile(path)
            let lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            defer { close(lock) }
            try #require(flock(lock, LOCK_EX) == 0)
            let writer = Mutex<String?>(nil)
            async let told = onOwnThread {
                let itself = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
                writer.withLock { $0 = itself }
                return Self.message { _ = try file.write(Array("x".utf8)) }
            }
            // All that it can sleep for is the lock; without one its thread ends.
            await eventually("it waits") {
                guard let thread = writer.withLock({ $0 }) else { return false }
                return (try? String(contentsOfFile: "/proc/\(thread)/stat", encoding: .utf8))?.contains(") S ") == true
            }
            try Data("{\"b\":1}".utf8).write(to: URL(fileURLWithPath: path))
            try #require(flock(lock, LOCK_UN) == 0)
            #expect(try await told == "\(path) has just changed")
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "{\"b\":1}")
        }
    }

    /// Room for the backup and not for the new file.
    @Test(.enabled(if: SmallDisk.isPossible, "needs root")) func aFullDiskLeavesNothingBehind() async throws {
        let (told, names, text) = try await SmallDisk.run(bytes: 64 << 10) { folder -> (String, [String], Int) in
            let path = folder + "/a.json"
            try Data(repeating: 0x20, count: 8 << 10).write(to: URL(fileURLWithPath: path))
            let file = try ConfigFile(path)
            let told = Self.message { _ = try file.write([UInt8](repeating: 0x20, count: 256 << 10)) }
            return (told, try FileManager.default.contentsOfDirectory(atPath: folder), (try Data(contentsOf: URL(fileURLWithPath: path))).count)
        }
        #expect(told.contains("cannot be written: No space left"), "\(told)")
        #expect(names == ["a.json"] && text == 8 << 10, "\(names)")
    }

    @Test(arguments: [
        ("{\n // x\n}", " is no JSON: line 2, column 2: "), ("[]", "the file in "), (#"{"s":1}"#, "\"s\" in "),
    ])
    func whatCannotBeEditedIsTold(_ text: String, _ says: String) throws {
        try Self.inFolder { folder in
            let path = folder + "/a.json"
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            let told = Self.message { _ = try ConfigFile(path).setting("n", to: 1, in: "s") }
            #expect(told.contains(says) && told.contains(path), "\(told)")
            #expect(Self.message { _ = try ConfigFile(folder) }.contains("cannot be read: Is a directory"))
        }
    }

    @Test(arguments: [
        ("", "a\nb\n", ["+ a", "+ b"]), ("a\nb\nc\n", "a\nc\n", ["- b"]), ("a\nb", "a\nx\nb", ["+ x"]), ("a\n", "a\n", []),
        ("a\nb\nc\n", "a\nx\nc\n", ["- b", "+ x"]), ("a\r\nb\r\n", "a\r\nx\r\nb\r\n", ["+ x"]),
    ] as [(String, String, [String])])
    func theDifferenceIsWhatGoesAndComes(_ before: String, _ after: String, _ lines: [String]) {
        #expect(ConfigFile.difference(Array(before.utf8), Array(after.utf8)) == lines)
    }

    @Test func whatCouldBeWrittenIsNotMade() throws {
        try Self.inFolder { folder in
            try OutputFile.check(folder + "/x", option: "--junit")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            try OutputFile.write(Array("kept".utf8), to: folder + "/x", option: "--junit")
            try OutputFile.check(folder + "/x", option: "--junit")
            #expect(try String(contentsOfFile: folder + "/x", encoding: .utf8) == "kept")
            for path in [folder, folder + "/none/x"] {
                #expect(Self.message { try OutputFile.check(path, option: "--junit") }.hasPrefix("--junit \(path) cannot be written: "))
            }
        }
    }
}
