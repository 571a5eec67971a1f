import Foundation
import Glibc
import MachineAPI
import NIOCore
import Testing

@testable import Orchestrator

@Suite struct ImagesUploadTests {
    private func unpack(_ bytes: [UInt8], _ scratch: ImagesScratch, limits: TreeLimits = TreeLimits()) throws -> String {
        try Files.write(scratch.path + "/archive", bytes)
        let into = try scratch.directory("into-" + Identifier.random())
        try Unpacking.unpack(scratch.path + "/archive", into: into, limits: limits)
        return into
    }

    @Test(arguments: ["gnu", "posix", "ustar"])
    func whatTarPacksIsUnpacked(_ format: String) async throws {
        let scratch = ImagesScratch()
        let deep = String(repeating: "d", count: 90) + "/" + String(repeating: "e", count: 90)
        try scratch.file("from/server.py", "print(1)\n")
        try scratch.file("from/bin/tool", "x", mode: 0o755)
        try scratch.file("from/\(deep)/file", "deep")
        try scratch.file("from/ünicode", "ü")
        link(scratch.path + "/from/server.py", scratch.path + "/from/same.py")
        symlink("bin/tool", scratch.path + "/from/link")
        let archive = scratch.path + "/a.tar"
        let tar = try await imagesRun(["tar", "--format=\(format)", "-C", scratch.path + "/from", "-cf", archive, "."])
        #expect(tar.isSuccess, "\(tar.text)")
        let into = try scratch.directory("into")
        try Unpacking.unpack(archive, into: into, limits: TreeLimits())
        let same = try await imagesRun(["diff", "-r", "--no-dereference", scratch.path + "/from", into])
        #expect(same.isSuccess, "\(same.text)")
        #expect(Files.status(into + "/bin/tool")?.st_mode == S_IFREG | 0o755)
    }

    @Test(arguments: [
        "up", "absolute", "link-up", "link-absolute", "device", "fifo", "through-link", "twice", "cut", "gzip", "hardlink-outside", "huge-number",
        "file-as-directory", "hardlink-through-link",
    ])
    func whatCouldHarmIsRefused(_ what: String) throws {
        let scratch = ImagesScratch()
        var tar = ImagesTar()
        var bytes: [UInt8]?
        switch what {
        case "up": tar.add("a/../../x", body: [1])
        case "absolute": tar.add("/x", body: [1])
        case "link-up": tar.add("x", type: "2", link: "../y")
        case "link-absolute": tar.add("x", type: "2", link: "/etc/passwd")
        case "device": tar.add("x", type: "3")
        case "fifo": tar.add("x", type: "6")
        case "through-link":
            tar.add("d/", type: "5")
            tar.add("x", type: "2", link: "d")
            tar.add("x/y", body: [1])
        case "twice":
            tar.add("x", body: [1])
            tar.add("x", body: [2])
        case "cut":
            tar.add("x", size: 5000)
            bytes = tar.bytes
        case "gzip": bytes = [0x1F, 0x8B] + [UInt8](repeating: 7, count: 2000)
        case "hardlink-outside": tar.add("x", type: "1", link: "../../etc/passwd")
        case "hardlink-through-link":
            tar.add("d/f", body: [1])
            tar.add("l", type: "2", link: "d")
            tar.add("x", type: "1", link: "l/f")
        case "file-as-directory":
            tar.add("x", body: [1])
            tar.add("x/y", body: [1])
        default: tar.add("x", size: (8 << 30) - 1)
        }
        let failure = try #require(throws: ImageBuildFailure.self) {
            _ = try unpack(bytes ?? tar.finished, scratch, limits: TreeLimits(bytes: 1 << 30))
        }
        #expect(failure.error == (what == "huge-number" ? "image_too_large" : "bad_upload"), "\(failure.message)")
    }

    @Test func aHeaderMayHoldAnyBytes() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var tar = ImagesTar()
            tar.add("name/x", type: ["0", "1", "2", "5", "L", "x"].randomElement(using: &generator) ?? "0", link: "y")
            for _ in 0..<Int.random(in: 0..<4) { tar.bytes[Int.random(in: 0..<512)] = UInt8.random(in: 0...255) }
            var reader = TarReader()
            if case .record? = try? reader.header(Array(tar.bytes[0..<512])) {
                try? reader.record((0..<Int.random(in: 0..<60)).map { _ in UInt8.random(in: 0...255) })
            }
        }
    }

    @Test func anUploadIsNamedByItsDigest() async throws {
        let scratch = ImagesScratch()
        let uploads = try Uploads(directory: scratch.path + "/uploads")
        let parts = [ByteBuffer(string: "hello "), ByteBuffer(string: "world")]
        let digest = try await uploads.receive(
            AsyncStream { continuation in
                for part in parts { continuation.yield(part) }
                continuation.finish()
            })
        #expect(digest == "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")
        #expect(uploads.path(of: digest) != nil)
        #expect(uploads.path(of: "sha256:../../etc/passwd") == nil)
        #expect(uploads.path(of: "sha256:" + String(repeating: "0", count: 64)) == nil)
        #expect(Files.names(scratch.path + "/uploads").count == 1)
        #expect(try await uploads.remove(olderThan: .seconds(-5)) == 1)
        #expect(uploads.path(of: digest) == nil)
    }

    @Test func anUploadThatBreaksOffLeavesNothing() async throws {
        struct Broken: Error {}
        let scratch = ImagesScratch()
        let uploads = try Uploads(directory: scratch.path + "/uploads")
        await #expect(throws: Broken.self) {
            _ = try await uploads.receive(
                AsyncThrowingStream<ByteBuffer, any Error> { continuation in
                    continuation.yield(ByteBuffer(string: "x"))
                    continuation.finish(throwing: Broken())
                })
        }
        #expect(Files.names(scratch.path + "/uploads").isEmpty)
        await #expect(throws: ImageBuildFailure.self) { _ = try await uploads.receive(AsyncStream<ByteBuffer> { $0.finish() }) }
        _ = try uploads.begin()
        #expect(Files.names(scratch.path + "/uploads").count == 1)
        _ = try Uploads(directory: scratch.path + "/uploads")
        #expect(Files.names(scratch.path + "/uploads").isEmpty)
    }

    @Test func anUploadEndsAtItsLimit() async throws {
        let scratch = ImagesScratch()
        let uploads = try Uploads(directory: scratch.path + "/uploads")
        let writer = try uploads.begin()
        let part = ByteBuffer(repeating: 0, count: 64 << 20)
        for _ in 0..<4 { try await writer.append(part) }
        let failure = try await #require(throws: ImageBuildFailure.self) { try await writer.append(ByteBuffer(string: "x")) }
        #expect(failure.error == "upload_too_large")
        #expect(Files.names(scratch.path + "/uploads").isEmpty)
    }
}
