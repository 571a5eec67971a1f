import Foundation
import Persistence
import Sealing
import Testing

@Suite("key ring")
struct KeyRingTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func code(_ body: () throws(StateError) -> Void) -> StateError.Code? {
        do {
            try body()
            return nil
        } catch {
            return error.code
        }
    }

    @Test func isCreatedPrivateAndReadBack() throws {
        let ring = try KeyRing(path: scratch.file("keys"))
        #expect(try scratch.mode("keys") == 0o600)
        let again = try KeyRing(path: scratch.file("keys"), createIfAbsent: false)
        #expect(again.master.secret == ring.master.secret && again.writing.id == ring.writing.id)
        #expect(again.master(ring.master.id)?.secret == ring.master.secret)
        let sealed = try ring.seal(Array("hunter2".utf8), identity: "connectors/1/API_KEY")
        #expect(try again.open(sealed, identity: "connectors/1/API_KEY") == Array("hunter2".utf8))
        #expect(!"\(ring)".contains(Base64URL.encode(ring.master.secret.copy)))
    }

    @Test func aValueCopiedToAnotherRowDoesNotOpen() throws {
        let ring = try KeyRing(path: scratch.file("keys"))
        let sealed = try ring.seal([1, 2, 3], identity: "a/1")
        #expect(code { () throws(StateError) in _ = try ring.open(sealed, identity: "a/2") } == .notAuthentic)
        var changed = sealed
        changed[changed.count - 1] ^= 1
        #expect(code { () throws(StateError) in _ = try ring.open(changed, identity: "a/1") } == .notAuthentic)
        for damaged in [[], [1], [1, 200, 3], Array(sealed.dropFirst()), Array(sealed.prefix(12))] as [[UInt8]] {
            #expect(code { () throws(StateError) in _ = try ring.open(damaged, identity: "a/1") } != nil)
        }
    }

    @Test func severalKeysAreReadableAndOneWrites() throws {
        var ring = try KeyRing(path: scratch.file("keys"))
        let old = try ring.seal([1], identity: "r")
        let first = ring.writing.id
        try ring.addKey()
        let new = try ring.seal([2], identity: "r")
        #expect(KeyRing.keyID(of: old) == first && KeyRing.keyID(of: new) == ring.writing.id && first != ring.writing.id)
        let reread = try KeyRing(path: scratch.file("keys"))
        #expect(try reread.open(old, identity: "r") == [1])
        #expect(try reread.open(new, identity: "r") == [2])
        try ring.removeKey(first)
        #expect(code { () throws(StateError) in _ = try ring.open(old, identity: "r") } == .unknownKey)
        #expect(try KeyRing(path: scratch.file("keys")).open(new, identity: "r") == [2])
        let writing = ring.writing.id
        #expect(throws: StateError.self) { try ring.removeKey(writing) }
    }

    @Test func aMissingWideOrDamagedFileFailsPlainly() throws {
        let path = scratch.file("keys")
        #expect(code { () throws(StateError) in _ = try KeyRing(path: path, createIfAbsent: false) } == .missingKeys)
        _ = try KeyRing(path: path)
        chmod(path, 0o644)
        #expect(code { () throws(StateError) in _ = try KeyRing(path: path) } == .wideMode)
        chmod(path, 0o600)
        let good = try #require(try PrivateFile.read(path, limit: 10_000))
        for bad in ["", "x", "berth-keys 2\n", "berth-keys 1\nkey a b\n", String(decoding: good.dropLast(3), as: UTF8.self)] {
            try PrivateFile.replace(path, Array(bad.utf8))
            #expect(code { () throws(StateError) in _ = try KeyRing(path: path) } == .damaged, "\(bad.prefix(12))")
        }
    }

    @Test func purposesHaveKeysOfTheirOwn() throws {
        let ring = try KeyRing(path: scratch.file("keys"))
        #expect(try ring.derived("a") != ring.derived("b"))
        #expect(try ring.derived("a") == ring.derived("a"))
    }
}
