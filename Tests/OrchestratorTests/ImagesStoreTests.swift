import Foundation
import Glibc
import MachineAPI
import Testing

@testable import Orchestrator

@Suite struct ImagesStoreTests {
    private func image(_ store: ImageStore, _ content: String) throws -> String {
        let building = try store.makeBuilding()
        defer { try? Files.removeTree(building) }
        try Files.makeDirectories(building + "/layer", mode: 0o755)
        try Files.write(building + "/layer/file", Array(content.utf8), mode: 0o644)
        let layer = try store.publishLayer(building + "/layer")
        return try store.publishImage(layers: [layer], command: ["/file", content], directory: "/tmp", environment: ["A": "b=c"])
    }

    @Test func anImageIsFoundByItsDigest() async throws {
        let scratch = ImagesScratch()
        let agent = try scratch.file("berth-agent", "agent", mode: 0o755)
        let store = try ImageStore(directory: scratch.path + "/images", agent: agent)
        let digest = try image(store, "one")
        #expect(try image(store, "one") == digest)
        let found = try #require(await store.layers(of: digest))
        #expect(found.command == ["/file", "one"])
        #expect(found.environment == ["A": "b=c"])
        #expect(found.layers.count == 2)
        #expect(Files.read(found.layers[0] + "/file") == "one")
        #expect(Files.read(found.layers[1] + "/opt/berth/berth-agent") == "agent")
        #expect(Files.status(found.layers[0])?.st_mode == S_IFDIR | 0o755)
        #expect(try await store.layers(of: "sha256:" + String(repeating: "0", count: 64)) == nil)
        #expect(try await store.layers(of: "../../x") == nil)
        #expect(try await store.list().map(\.digest) == [digest])

        let hex = digest.dropFirst(7)
        let manifest = try #require(Files.read(store.directory + "/manifests/\(hex).json"))
        #expect(manifest.contains(#""mediaType":"application/vnd.oci.image.manifest.v1+json""#))
    }

    @Test func anotherAgentMakesAnotherTopLayerOfTheSameImage() async throws {
        let scratch = ImagesScratch()
        let agent = try scratch.file("berth-agent", "agent", mode: 0o755)
        let store = try ImageStore(directory: scratch.path + "/images", agent: agent)
        let digest = try image(store, "one")
        let before = try #require(await store.layers(of: digest))
        unlink(agent)
        try scratch.file("berth-agent", "a newer agent", mode: 0o755)
        let after = try #require(await store.layers(of: digest))
        #expect(before.layers[0] == after.layers[0])
        let top = try #require(after.layers.last)
        #expect(Files.read(top + "/opt/berth/berth-agent") == "a newer agent")
        unlink(agent)
        await #expect(throws: ImageBuildFailure.self) { _ = try await store.layers(of: digest) }
    }

    @Test func whatIsHalfMadeOrDamagedIsNoImage() async throws {
        let scratch = ImagesScratch()
        let store = try ImageStore(directory: scratch.path + "/images")
        let digest = try image(store, "one")
        let manifest = store.directory + "/manifests/\(digest.dropFirst(7)).json"
        let bytes = try #require(Disk.read(manifest, limit: 1 << 20))
        try Files.write(manifest, bytes + [UInt8(ascii: " ")])
        #expect(try await store.layers(of: digest) == nil)
        try Files.write(manifest, bytes)
        let layers = try #require(await store.layers(of: digest))
        try Files.removeTree(layers.layers[0])
        #expect(try await store.layers(of: digest) == nil)

        _ = try store.makeBuilding()
        #expect(Files.names(store.directory + "/building").count == 1)
        let again = try ImageStore(directory: scratch.path + "/images")
        #expect(Files.names(again.directory + "/building").isEmpty)
    }

    @Test func aDirectoryThatOthersReachIsRefused() throws {
        let scratch = ImagesScratch()
        let images = try scratch.directory("images")
        chmod(images, 0o755)
        let failure = try #require(throws: ImageBuildFailure.self) { _ = try ImageStore(directory: images) }
        #expect(failure.hint?.contains("chmod 0700") == true)
    }

    @Test func whatABuildUnderWayTookUpStaysUntilItsEnd() async throws {
        let scratch = ImagesScratch()
        let store = try ImageStore(directory: scratch.path + "/images")
        _ = try image(store, "one")
        // The same content again, by a build that has not written its image.
        let building = try store.makeBuilding()
        try Files.makeDirectories(building + "/layer", mode: 0o755)
        try Files.write(building + "/layer/file", Array("one".utf8), mode: 0o644)
        let layer = try store.publishLayer(building + "/layer", for: building)
        #expect(try await store.collect(keeping: [], youngerThan: .seconds(-5)) == Orchestrator.Collected(images: 1, layers: 0))
        #expect(store.hasLayer(layer.hex))
        let digest = try store.publishImage(layers: [layer], command: ["/file"], directory: "/tmp", environment: [:])
        #expect(try await store.layers(of: digest) != nil)
        try Files.removeTree(building)
        #expect(try await store.collect(keeping: [], youngerThan: .seconds(-5)) == Orchestrator.Collected(images: 1, layers: 1))
        #expect(Files.names(store.directory + "/building").isEmpty)
    }

    @Test func whatNobodyNeedsIsCollected() async throws {
        let scratch = ImagesScratch()
        let agent = try scratch.file("berth-agent", "agent", mode: 0o755)
        let store = try ImageStore(directory: scratch.path + "/images", agent: agent)
        let (one, two) = (try image(store, "one"), try image(store, "two"))
        _ = try await store.layers(of: one)
        #expect(try await store.collect(keeping: [one]) == Orchestrator.Collected(images: 0, layers: 0))
        #expect(try await store.collect(keeping: [one], youngerThan: .seconds(-5)) == Orchestrator.Collected(images: 1, layers: 1))
        #expect(try await store.layers(of: two) == nil)
        let kept = try #require(await store.layers(of: one))
        for layer in kept.layers { #expect(Files.isDirectory(layer)) }
        #expect(Files.names(store.directory + "/configs").count == 1)
        #expect(Files.names(store.directory + "/building").isEmpty)
    }
}
