import Foundation
import Glibc
import Testing

@testable import Orchestrator

@Suite("removal from the shared cache")
struct SharedCacheRemovalTests {
    /// What another state has by hard links stays, and what another Berth is at; the last one takes it away.
    @Test func theLastOneTakesItAway() throws {
        let scratch = ImagesScratch()
        let cache = scratch.path + "/cache"
        let key = String(repeating: "ab", count: 32)
        let home = "\(cache)/base-\(key)"
        for path in ["cache/base-\(key)/tree/usr/bin/tool", "cache/base-\(key)/part.json", "cache/base-other/tree/x", "outside/file"] { try scratch.file(path, "text") }
        symlink(scratch.path + "/outside", home + "/tree/link")
        try Files.makeDirectories(scratch.path + "/state", mode: 0o700)
        try CanonicalJSON.encode(SharedPart(key: key, layer: .init(hex: key, size: 1), facts: [:])).withUnsafeBytes {
            try Data($0).write(to: URL(fileURLWithPath: scratch.path + "/state/part-base.json"))
        }
        let parts = SharedCacheRemoval.parts(of: scratch.path + "/state")
        #expect(parts == ["base-\(key)"])
        #expect(link(home + "/tree/usr/bin/tool", scratch.path + "/state/tool") == 0)
        #expect(try SharedCacheRemoval.remove(parts, from: cache) == [.init(path: home, why: "another state has images on it")])
        unlink(scratch.path + "/state/tool")
        let lock = open("\(cache)/base-\(key.prefix(16)).lock", O_RDWR | O_CREAT, 0o600)
        #expect(flock(lock, LOCK_EX) == 0)
        #expect(try SharedCacheRemoval.remove(parts, from: cache) == [.init(path: home, why: "another Berth is at it")])
        close(lock)
        #expect(try SharedCacheRemoval.remove(parts, from: cache).isEmpty)
        #expect(Files.names(cache) == ["base-other"] && Files.names(scratch.path + "/outside") == ["file"])
        #expect(try SharedCacheRemoval.remove(parts, from: cache).isEmpty, "again is no error")
    }

    @Test func aKeyThatIsNoneNamesNoFolder() throws {
        let scratch = ImagesScratch()
        for key in ["../../etc", "", String(repeating: "/", count: 64)] {
            try scratch.file("state/part-base.json", "{\"key\":\"\(key)\",\"layer\":{\"hex\":\"a\",\"size\":1},\"facts\":{}}")
            #expect(SharedCacheRemoval.parts(of: scratch.path + "/state").isEmpty)
        }
    }
}
