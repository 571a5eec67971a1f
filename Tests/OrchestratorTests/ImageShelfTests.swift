import Foundation
import GRDB
import Glibc
import MachineAPI
import Testing

@testable import Orchestrator

/// Images as people look at them, over the Machines API's own paths.
@Suite struct ImageShelfTests {
    @Test(arguments: [
        ("aaaaaa1", "sha256:aaaaaa1", nil), ("sha256:aaaaaa2", "sha256:aaaaaa2", nil), ("bbbbbb", "sha256:bbbbbb1", nil), ("aaaaaa", nil, "ambiguous"),
        ("aaaaa", nil, "invalid"), ("", nil, "invalid"), ("../../etc", nil, "invalid"), ("AAAAAA1", nil, "invalid"), ("cccccc", nil, "not_found"),
    ] as [(String, String?, String?)])
    func aDigestIsNamedByItsBeginning(_ word: String, _ digest: String?, _ code: String?) {
        let digests = ["sha256:aaaaaa1", "sha256:aaaaaa2", "sha256:bbbbbb1"]
        do throws(MachineFailure) {
            #expect(try ImageShelf.choose(word, among: digests) == digest)
        } catch {
            #expect(error.code == code)
        }
    }

    @Test(arguments: [
        (ImageSource(pypi: "Foo_Bar[x]==2"), ["foo==1", "foo-bar==2.0"], "2.0"), (ImageSource(pypi: "none"), ["foo==1"], nil),
        (ImageSource(npm: "@s/x"), ["@s/x-y@1.0.0", "@s/x@3.0.0"], "3.0.0"), (ImageSource(oci: "r.example/x:1"), ["r.example/x@sha256:aa"], "sha256:aa"),
        (ImageSource(upload: "sha256:00"), [], nil),
    ] as [(ImageSource, [String], String?)])
    func aVersionIsThatOfWhatTheSourceNames(_ source: ImageSource, _ packages: [String], _ version: String?) {
        #expect(ImageFacts(source: source, packages: packages, made: 0).version == version)
    }

    private func image(_ store: ImageStore, _ own: String, shared: String = "shared") throws -> String {
        let building = try store.makeBuilding()
        defer { try? Files.removeTree(building) }
        let layers = try [shared, own].map { text in
            try Files.makeDirectories(building + "/layer", mode: 0o755)
            try Files.write(building + "/layer/file", Array(text.utf8), mode: 0o644)
            return try store.publishLayer(building + "/layer")
        }
        let digest = try store.publishImage(layers: layers, command: ["/file"], directory: "/tmp", environment: [:])
        let built = BuiltImage(image: digest, command: ["/file"], directory: "/tmp", environment: [:], packages: ["\(own)==1"])
        try ImageFacts.keep(built, of: ImageSource(pypi: own), in: store.directory)
        return digest
    }

    @Test func whatEachImageIsAndWhoNeedsItIsTold() async throws {
        try await withFakeHost { host, client in
            let scratch = ImagesScratch()
            let store = try ImageStore(directory: scratch.path + "/images")
            let shelf = ImageShelf(images: store, machines: host.store)
            let (one, two) = (try image(store, "one"), try image(store, "two"))
            try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 3, count: 32))
            let machine = try await client.create(app: "web", name: "one", config: FakeHost.config, skipLaunch: true)
            // The host's images are others: the row says which one the machine has, and whose it is, as the gateway would.
            try await host.store.write { [one] in
                try $0.execute(sql: "UPDATE machines SET config = json_set(config, '$.image', ?, '$.metadata', json('{\"berth_connector\": \"shop\"}'))", arguments: [one])
                try $0.execute(sql: "UPDATE app_images SET image = ?", arguments: [one])
            }
            let images = try await shelf.list()
            #expect(Set(images.map(\.digest)) == [one, two])
            let first = try await shelf.report(String(one.dropFirst(7).prefix(8)))
            #expect(first.title == "one" && first.packages == ["one==1"] && first.version == "1" && first.built_at?.hasSuffix("Z") == true)
            #expect(first.layers.map(\.images) == [2, 1] && first.own_bytes == first.layers[1].bytes && first.bytes == first.layers.reduce(0) { $0 + $1.bytes })
            #expect(first.uses.map(\.machine) == [nil, machine.id] && first.uses.last?.connector == "shop", "\(first.uses) \(machine.id)")

            // A second pair of eyes: nothing is old enough to go.
            let young = try await shelf.collect(isTrial: true)
            #expect(young.removed.isEmpty && young.kept.first { $0.digest == two }?.kept == "young" && young.kept.first { $0.digest == one }?.kept == nil)
            await #expect(throws: MachineFailure.self) { try await shelf.lock(one) }
        }
    }

    @Test func aTrialOfACollectionRemovesNothing() async throws {
        let scratch = ImagesScratch()
        let store = try ImageStore(directory: scratch.path + "/images")
        let (one, two) = (try image(store, "one"), try image(store, "two"))
        let plan = try await store.collectable(keeping: [one], youngerThan: .seconds(-5))
        #expect(plan.images == [String(two.dropFirst(7))] && plan.layers.count == 1 && plan.facts == plan.images && plan.configs.count == 1)
        #expect(try await store.list().count == 2)
        #expect(try await store.collect(keeping: [one], youngerThan: .seconds(-5)) == Orchestrator.Collected(images: 1, layers: 1))
        #expect(try await store.list().map(\.digest) == [one])
        #expect(Files.names(store.directory + "/facts") == ["\(one.dropFirst(7)).json"])
    }
}
