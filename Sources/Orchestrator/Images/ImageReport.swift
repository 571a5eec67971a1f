import FoundationEssentials
import MachineAPI

/// Which images have which layers.
struct LayerOwners: Sendable {
    private var counts: [String: Int] = [:]
    /// The layers that builds start from now: `base`, `node`, `builder`.
    private var parts: [String: String] = [:]

    init(_ images: [StoredImage], in store: String) {
        for image in images { for hex in Set(image.layers) { counts[hex, default: 0] += 1 } }
        for name in Files.names(store) where name.hasPrefix("part-") && name.hasSuffix(".json") {
            guard let part = SharedPart.read(store + "/" + name) else { continue }
            parts[part.layer.hex] = String(name.dropFirst(5).dropLast(5))
        }
    }

    func count(_ hex: String) -> Int { counts[hex] ?? 0 }
    func part(_ hex: String) -> String? { parts[hex] }
}

/// An image, for people.
struct ImageReport: Encodable, Sendable {
    struct Layer: Encodable, Sendable {
        var digest: String
        var bytes: Int
        /// `base`, `node`, where builds start from it now.
        var part: String?
        /// How many images have it.
        var images: Int
    }

    struct Use: Encodable, Sendable {
        var app: String
        /// nil: the app's next machine may be made of it.
        var machine: String?
        var connector: String?
        var state: String?
    }

    var digest: String
    var source: ImageSource?
    /// The same in a word.
    var title: String?
    var version: String?
    var packages: [String]?
    var built_at: String?
    var command: [String]
    var directory: String
    var environment: [String: String]
    /// Of all layers, as archives.
    var bytes: Int
    /// Of those that no other image has and no build starts from.
    var own_bytes: Int
    var layers: [Layer]
    var uses: [Use]
    /// `young` where nothing but its age keeps it.
    var kept: String?

    init(_ image: StoredImage, _ owners: LayerOwners, _ facts: ImageFacts?, _ uses: [MachineStore.ImageUse]) {
        digest = image.digest
        source = facts?.source
        title = facts?.source.title
        version = facts?.version
        packages = facts?.packages
        built_at = facts.map { Date(timeIntervalSince1970: Double($0.made)).formatted(.iso8601) }
        (command, directory, environment) = (image.command, image.directory, image.environment)
        layers = zip(image.layers, image.sizes).map { hex, size in
            Layer(digest: "sha256:" + hex, bytes: size, part: owners.part(hex), images: owners.count(hex))
        }
        bytes = layers.reduce(0) { $0 + $1.bytes }
        own_bytes = layers.filter { $0.part == nil && $0.images == 1 }.reduce(0) { $0 + $1.bytes }
        self.uses = uses.map { Use(app: $0.app, machine: $0.machine, connector: $0.connector, state: $0.state) }
    }
}

/// What a collection of images did, or would do.
struct CollectionReport: Encodable, Sendable {
    var dry_run: Bool
    var removed: [ImageReport]
    var kept: [ImageReport]
    /// Layers that went, or would.
    var layers: Int
    /// Of those, as far as images that are here name them.
    var bytes: Int
}
