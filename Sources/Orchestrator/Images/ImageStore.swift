import CLinux
import Glibc
import MachineAPI
import Sealing
import Synchronization

/// Images by digest: manifests, configurations and unpacked, read-only layers.
///
/// ```
/// <directory>/building/<id>/     half-made, removed at start
/// <directory>/layers/<hex>/      named by diff id
/// <directory>/manifests/<hex>.json   <directory>/configs/<hex>.json   OCI documents
/// <directory>/builds/<key>.json  finished builds by what went into them
/// <directory>/facts/<hex>.json   what an image was made of, for people
/// ```
/// Everything gets its final name in one rename, after its content is on the disk.
public actor ImageStore: ImageLookup {
    nonisolated let directory: String
    private let agentPath: String?
    /// Held while a pass decides what goes, and by whoever takes up what is here already.
    private let collecting = Mutex<Void>(())
    private var agentLayer: (stamp: FileStamp, hex: String)?

    /// Opens a store, making it, and removes what an end of the process left half-made.
    ///
    /// - Parameters:
    ///   - directory: `<state>/orchestrator/images`.
    ///   - agent: the static `berth-agent` that goes on top of every image, or nil for images alone.
    public init(directory: String, agent: String? = nil) throws {
        self.directory = directory
        agentPath = agent
        try Disk.makePrivate(directory)
        try Files.removeTree(directory + "/building")
        for name in ["building", "layers", "manifests", "configs", "builds", "facts"] { try Disk.makePrivate(directory + "/" + name) }
    }

    // MARK: Reading

    /// The layers of an image, the agent's on top; nil when the image is not here whole.
    public func layers(of digest: String) async throws -> ImageLayers? {
        guard let stored = try await image(digest) else { return nil }
        var paths = stored.layers.map { layerPath($0) }
        if let agent = try await currentAgentLayer() { paths.append(layerPath(agent)) }
        return ImageLayers(layers: paths, command: stored.command, directory: stored.directory, environment: stored.environment)
    }

    /// Every image here.
    public func list() async throws -> [StoredImage] {
        let directory = directory
        let names = try await Disk.look { Files.names(directory + "/manifests") }
        var images: [StoredImage] = []
        for name in names where name.hasSuffix(".json") {
            if let image = try await image("sha256:" + name.dropLast(5)) { images.append(image) }
        }
        return images
    }

    /// One image; nil when a part of it is missing or is not what its name says.
    func image(_ digest: String) async throws -> StoredImage? {
        guard let hex = Identifier.hex(ofDigest: digest) else { return nil }
        let directory = directory
        return try await Disk.look { try StoredImage.read(hex, in: directory) }
    }

    nonisolated func layerPath(_ hex: String) -> String { directory + "/layers/" + hex }

    nonisolated func hasLayer(_ hex: String) -> Bool { Files.isDirectory(layerPath(hex)) }

    // MARK: Writing

    /// A fresh private directory for one build; the caller removes it.
    nonisolated func makeBuilding() throws -> String {
        let path = directory + "/building/" + Identifier.random()
        guard mkdir(path, 0o700) == 0 else { throw Disk.failure("mkdir", path, errno) }
        return path
    }

    /// Takes a finished tree, made in ``makeBuilding()`` by us, as a layer. The tree is moved, or dropped when it is here already.
    ///
    /// - Parameter building: the build whose image will name the layer, which stays until that build's directory goes.
    nonisolated func publishLayer(_ tree: String, for building: String? = nil) throws -> LayerArchive.Digest {
        // The layer's own root directory is the machine's `/`.
        guard chmod(tree, 0o755) == 0 else { throw Disk.failure("chmod", tree, errno) }
        let digest = try LayerArchive.digest(of: tree)
        if try renewLayer(digest.hex, for: building) {
            try Files.removeTree(tree)
            return digest
        }
        do {
            try Disk.publish(tree, as: layerPath(digest.hex))
        } catch {
            // Somebody else was faster with the same content.
            guard hasLayer(digest.hex) else { throw error }
            try Files.removeTree(tree)
        }
        return digest
    }

    /// Takes up a layer that is here: it counts as just made, and stays as long as the directory `building` does.
    ///
    /// - Returns: whether it is here. It is kept for that build also when it is not: whoever makes it publishes it next.
    nonisolated func renewLayer(_ hex: String, for building: String? = nil) throws -> Bool {
        try collecting.withLock { _ in
            if let building { try LayerPins.add(hex, to: building) }
            return hasLayer(hex) && chmod(layerPath(hex), 0o755) == 0
        }
    }

    /// The same for an image that was built before: its next machine's row may not be written yet.
    nonisolated func renewImage(_ digest: String) -> Bool {
        guard let hex = Identifier.hex(ofDigest: digest) else { return false }
        return collecting.withLock { _ in chmod(directory + "/manifests/\(hex).json", 0o600) == 0 }
    }

    /// Writes an image of layers that are here and answers its digest.
    nonisolated func publishImage(
        layers: [LayerArchive.Digest], command: [String], directory workingDirectory: String, environment: [String: String]
    ) throws -> String {
        let config = ImageConfig(
            config: .init(
                Entrypoint: command, Env: environment.map { "\($0.key)=\($0.value)" }.sorted(), WorkingDir: workingDirectory, User: "1000:1000"),
            rootfs: .init(diff_ids: layers.map { "sha256:" + $0.hex }))
        let configBytes = try CanonicalJSON.encode(config)
        let configHex = Hex.encode(try SHA256.digest(configBytes))
        let manifest = ImageManifest(
            config: .init(mediaType: ImageManifest.configMediaType, digest: "sha256:" + configHex, size: configBytes.count),
            layers: layers.map { .init(mediaType: ImageManifest.layerMediaType, digest: "sha256:" + $0.hex, size: $0.size) })
        let manifestBytes = try CanonicalJSON.encode(manifest)
        let manifestHex = Hex.encode(try SHA256.digest(manifestBytes))
        // The manifest last: an image is here when its manifest is.
        try Disk.replace(directory + "/configs/\(configHex).json", configBytes, staging: directory + "/building")
        try Disk.replace(directory + "/manifests/\(manifestHex).json", manifestBytes, staging: directory + "/building")
        return "sha256:" + manifestHex
    }

    // MARK: The agent's layer

    /// The layer of the agent binary as it is on the disk now; nil when the store has none.
    ///
    /// It is no part of any image, so that an upgrade of Berth needs no image built anew.
    func currentAgentLayer() async throws -> String? {
        guard let path = agentPath else { return nil }
        guard let stamp = FileStamp(path) else {
            throw ImageBuildFailure(
                error: "no_agent", message: "\(path) is not there.", hint: "Keep berth-agent beside the berth binary.")
        }
        if let agentLayer, agentLayer.stamp == stamp, hasLayer(agentLayer.hex) { return agentLayer.hex }
        let hex = try await Disk.look { try self.makeAgentLayer(path) }
        agentLayer = (stamp, hex)
        return hex
    }

    private nonisolated func makeAgentLayer(_ path: String) throws -> String {
        let building = try makeBuilding()
        defer { try? Files.removeTree(building) }
        let tree = building + "/layer"
        try Files.makeDirectories(tree + "/opt/berth", mode: 0o755)
        try FileCopy.copy(path, to: tree + "/opt/berth/berth-agent", mode: 0o755)
        return try publishLayer(tree).hex
    }

    // MARK: Collecting

    /// Removes images that nobody names and layers that no image needs.
    ///
    /// - Parameters:
    ///   - keeping: digests of the images of machines, and of those that apps may make next.
    ///   - youngerThan: images that were made within this time stay: their app may not be written yet.
    public func collect(keeping: Set<String>, youngerThan grace: Duration = .seconds(3600)) async throws -> Collected {
        let agent = agentLayer?.hex
        let collection = ImageCollection(
            directory: directory, keeping: keeping, grace: Int(grace.components.seconds), layers: Set(agent.map { [$0] } ?? []))
        return try await Disk.work {
            let found = try self.collecting.withLock { _ in try collection.setAside() }
            return try collection.remove(found)
        }
    }

    /// What ``collect(keeping:youngerThan:)`` would remove now.
    func collectable(keeping: Set<String>, youngerThan grace: Duration = .seconds(3600)) async throws -> ImageCollection.Plan {
        let agent = agentLayer?.hex
        let collection = ImageCollection(
            directory: directory, keeping: keeping, grace: Int(grace.components.seconds), layers: Set(agent.map { [$0] } ?? []))
        return try await Disk.work { self.collecting.withLock { _ in collection.plan() } }
    }
}

/// An image as the store holds it.
public struct StoredImage: Sendable, Equatable {
    /// `sha256:…` of the manifest.
    public var digest: String
    /// Diff ids in hex, lowest first, without the agent's.
    public var layers: [String]
    /// Bytes of each layer as an archive.
    public var sizes: [Int]
    public var command: [String]
    public var directory: String
    public var environment: [String: String]

    /// Reads and checks one image; nil when it is not here whole.
    static func read(_ hex: String, in store: String) throws -> StoredImage? {
        let limit = 4 << 20
        guard let manifestBytes = Disk.read(store + "/manifests/\(hex).json", limit: limit),
            Hex.encode(try SHA256.digest(manifestBytes)) == hex,
            let manifest = CanonicalJSON.decode(ImageManifest.self, manifestBytes),
            let configHex = Identifier.hex(ofDigest: manifest.config.digest),
            let configBytes = Disk.read(store + "/configs/\(configHex).json", limit: limit),
            Hex.encode(try SHA256.digest(configBytes)) == configHex,
            let config = CanonicalJSON.decode(ImageConfig.self, configBytes)
        else { return nil }
        let layers = config.rootfs.diff_ids.compactMap(Identifier.hex(ofDigest:))
        guard layers.count == config.rootfs.diff_ids.count, layers.count == manifest.layers.count,
            layers.allSatisfy({ Files.isDirectory(store + "/layers/" + $0) })
        else { return nil }
        return StoredImage(
            digest: "sha256:" + hex, layers: layers, sizes: manifest.layers.map(\.size), command: config.config.Entrypoint, directory: config.config.WorkingDir,
            environment: config.environment)
    }
}

/// What tells that a file was replaced.
struct FileStamp: Equatable {
    private let inode: UInt
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        inode = UInt(status.st_ino)
        size = Int(status.st_size)
        (seconds, nanoseconds) = Files.parts(of: status.st_mtim)
    }
}

/// Copies one file of the host.
enum FileCopy {
    static func copy(_ source: String, to destination: String, mode: mode_t) throws {
        let from = Descriptor(open(source, O_RDONLY | O_CLOEXEC))
        guard from.value >= 0 else { throw Disk.failure("open", source, errno) }
        let to = Descriptor(open(destination, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600))
        guard to.value >= 0 else { throw Disk.failure("open", destination, errno) }
        while true {
            let count = clinux_copy_file(from.value, to.value, 64 << 20)
            if count == -Int(EINTR) { continue }
            guard count >= 0 else { throw Disk.failure("copy", destination, Int32(-count)) }
            if count == 0 { break }
        }
        guard fchmod(to.value, mode) == 0 else { throw Disk.failure("chmod", destination, errno) }
    }
}
