import Glibc
import MachineAPI
import Persistence
import Sealing

/// Images of a store on their way into a backup.
struct BackedUpImages {
    /// `<state>/orchestrator/images`
    let store: String

    /// Writes these images whole: documents, results of builds that made them, layers.
    ///
    /// - Returns: those that are not here whole.
    func pack(_ digests: Set<String>, to writer: BackupWriter) throws -> [String] {
        var missing: [String] = []
        var layers: [String: Int] = [:]
        var configs: Set<String> = []
        for digest in digests.sorted() {
            guard let hex = Identifier.hex(ofDigest: digest), let image = try StoredImage.read(hex, in: store),
                let bytes = Disk.read(store + "/manifests/\(hex).json", limit: 4 << 20),
                let manifest = CanonicalJSON.decode(ImageManifest.self, bytes), let config = Identifier.hex(ofDigest: manifest.config.digest)
            else {
                missing.append(digest)
                continue
            }
            if configs.insert(config).inserted { try document("configs/\(config).json", to: writer) }
            try writer.add("orchestrator/images/manifests/\(hex).json", bytes)
            if let facts = Disk.read(store + "/facts/\(hex).json", limit: 4 << 20) {
                try writer.add("orchestrator/images/facts/\(hex).json", facts)
            }
            for layer in image.layers { layers[layer] = manifest.layers.first { $0.digest == "sha256:" + layer }?.size }
        }
        let kept = digests.subtracting(missing)
        for name in Files.names(store + "/builds") {
            guard name.hasSuffix(".json"), name.utf8.count == 69, Identifier.isHex(name.prefix(64)),
                let bytes = Disk.read(store + "/builds/" + name, limit: 4 << 20), let record = CanonicalJSON.decode(BuildRecord.self, bytes),
                kept.contains(record.built.image)
            else { continue }
            try writer.add("orchestrator/images/builds/" + name, bytes)
        }
        for kind in ["base", "builder"] {
            guard let bytes = Disk.read(store + "/part-\(kind).json", limit: 1 << 20), let part = CanonicalJSON.decode(SharedPart.self, bytes),
                layers[part.layer.hex] != nil
            else { continue }
            try writer.add("orchestrator/images/part-\(kind).json", bytes)
        }
        for (hex, size) in layers.sorted(by: { $0.key < $1.key }) { try layer(hex, size, to: writer) }
        return missing
    }

    private func document(_ name: String, to writer: BackupWriter) throws {
        guard let bytes = Disk.read(store + "/" + name, limit: 4 << 20) else { throw Disk.failure("read", name, errno) }
        try writer.add("orchestrator/images/" + name, bytes)
    }

    private func layer(_ hex: String, _ size: Int, to writer: BackupWriter) throws {
        let path = store + "/layers/" + hex
        let name = "orchestrator/images/layers/\(hex).tar"
        try writer.begin(name, size: size)
        _ = try LayerArchive.digest(of: path, writer.append)
        guard try writer.end() == hex else {
            throw StateError(
                .damaged, "the layer \(path) is not what it was made as",
                remedy: "build its connectors anew (berth connector update), or leave images out with --no-images")
        }
    }
}

/// Images of a backup on their way into a store.
struct RestoredImages {
    private let directory: String
    private let store: ImageStore?
    private var layers: Set<String> = []
    /// `sha256:…` of every manifest.
    private(set) var images: Set<String> = []
    /// What the manifests and configurations need: `configs/<hex>`, `layers/<hex>`.
    private var needed: Set<String> = []
    private var configs: Set<String> = []

    init(directory: String, keeps: Bool) throws {
        self.directory = directory
        store = keeps ? try ImageStore(directory: directory) : nil
    }

    /// Takes the file at hand, `layers/…`, `manifests/…` and so on.
    mutating func take(_ entry: BackupReader.Entry, _ name: String, _ reader: BackupReader) throws {
        let hex = String(name.split(separator: "/").last?.prefix { $0 != "." } ?? "")
        if name.hasPrefix("layers/") { return try layer(hex, entry, reader) }
        let bytes = try reader.all()
        if name.hasPrefix("manifests/") {
            try check(hex, bytes, name)
            guard let manifest = CanonicalJSON.decode(ImageManifest.self, bytes), let config = Identifier.hex(ofDigest: manifest.config.digest) else {
                throw StateError(.damaged, "\(name) is no manifest of an image")
            }
            images.insert("sha256:" + hex)
            needed.insert(config)
        } else if name.hasPrefix("configs/") {
            try check(hex, bytes, name)
            guard let config = CanonicalJSON.decode(ImageConfig.self, bytes) else { throw StateError(.damaged, "\(name) is no image's configuration") }
            configs.insert(hex)
            for id in config.rootfs.diff_ids { needed.insert(Identifier.hex(ofDigest: id) ?? id) }
        }
        if store != nil { try Disk.replace(directory + "/" + name, bytes, staging: directory + "/building") }
    }

    /// - Returns: how many images and layers there are.
    func finish() throws -> (Int, Int) {
        if let hex = needed.subtracting(configs).subtracting(layers).sorted().first {
            throw StateError(.damaged, "an image lacks \(hex.prefix(64))", remedy: "take another backup")
        }
        return (images.count, layers.count)
    }

    private func check(_ hex: String, _ bytes: [UInt8], _ name: String) throws {
        guard Hex.encode(try SHA256.digest(bytes)) == hex else { throw StateError(.damaged, "\(name) is not what its name says") }
    }

    /// Hashed as an archive, unpacked by the rules for uploads (but that a base system's links may lead anywhere), and hashed
    /// again as a tree: what becomes a layer is that layer.
    private mutating func layer(_ hex: String, _ entry: BackupReader.Entry, _ reader: BackupReader) throws {
        let refused = StateError(.damaged, "the layer \(hex) is not what its name says", remedy: "take another backup")
        if let store {
            let building = try store.makeBuilding()
            defer { try? Files.removeTree(building) }
            let (archive, tree) = (building + "/layer.tar", building + "/tree")
            try reader.copy(to: archive)
            guard reader.digest(entry.name) == hex else { throw refused }
            guard mkdir(tree, 0o755) == 0 else { throw Disk.failure("mkdir", tree, errno) }
            // What a build of any setting may have made; the archive is all there, and each entry takes a block of it.
            let limits = TreeLimits(bytes: entry.size, entries: entry.size / 512, depth: 1_024)
            try Unpacking.unpack(archive, into: tree, limits: limits, links: .any)
            unlink(archive)
            guard try store.publishLayer(tree).hex == hex else { throw refused }
        } else {
            while try reader.body() != nil {}
            guard reader.digest(entry.name) == hex else { throw refused }
        }
        layers.insert(hex)
    }
}
