import Foundation
import Persistence
import Testing

@Suite("state directory and private files")
struct StateDirectoryTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test func isMadePrivateWithItsParents() throws {
        let state = try StateDirectory(scratch.file("a/b/state"))
        #expect(try scratch.mode("a/b/state") == 0o700)
        #expect(try scratch.mode("a/b/state/version") == 0o600)
        #expect(try StateDirectory(state.path).path == state.path)
        #expect(state.file("x") == state.path + "/x")
    }

    @Test(arguments: [0o755, 0o750, 0o701, 0o770])
    func widerThan0700IsRefusedWithTheRemedy(mode: mode_t) throws {
        let path = scratch.file("state")
        _ = try StateDirectory(path)
        chmod(path, mode)
        let error = #expect(throws: StateError.self) { _ = try StateDirectory(path) }
        #expect(error?.code == .wideMode)
        #expect(error?.description.hasSuffix(": chmod 700 \(path)") == true)
        chmod(path, 0o700)
        _ = try StateDirectory(path)
    }

    @Test func aNewerVersionIsRefused() throws {
        let path = scratch.file("state")
        _ = try StateDirectory(path, version: 2)
        #expect(throws: StateError.self) { _ = try StateDirectory(path, version: 1) }
        do {
            _ = try StateDirectory(path, version: 1)
        } catch {
            #expect(error.code == .newerVersion && error.remedy != nil)
        }
        _ = try StateDirectory(path, version: 3)
    }

    @Test func nonsenseIsDamagedNotFatal() throws {
        let path = scratch.file("state")
        _ = try StateDirectory(path)
        try PrivateFile.replace(path + "/version", Array("x\n".utf8))
        #expect(throws: StateError.self) { _ = try StateDirectory(path) }
        try PrivateFile.create(scratch.file("file"), [])
        do {
            try StateDirectory.check(scratch.file("file"))
            Issue.record("a file is no directory")
        } catch {
            #expect(error.code == .damaged)
        }
    }

    @Test func filesAreWholePrivateAndMadeOnce() throws {
        let path = scratch.file("f")
        #expect(try PrivateFile.read(path, limit: 10) == nil)
        #expect(try PrivateFile.create(path, [1, 2]))
        #expect(try !PrivateFile.create(path, [3]))
        #expect(try PrivateFile.read(path, limit: 2) == [1, 2])
        #expect(throws: StateError.self) { try PrivateFile.read(path, limit: 1) }
        try PrivateFile.replace(path, [4])
        #expect(try PrivateFile.read(path, limit: 10) == [4])
        #expect(try scratch.mode("f") == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["f"], "no temporary file stays")
        chmod(path, 0o640)
        do {
            _ = try PrivateFile.read(path, limit: 10)
            Issue.record("a readable key file is not read")
        } catch {
            #expect(error.code == .wideMode && error.remedy == "chmod 600 \(path)")
        }
        symlink(path, scratch.file("link"))
        #expect(throws: StateError.self) { try PrivateFile.read(scratch.file("link"), limit: 10) }
    }
}
