import FoundationEssentials
import Glibc
import MachineAPI

/// What an OCI image layout (image-spec v1.1, also as `docker save` writes it) holds for this host: documents read with
/// limits, every blob held against its digest and size.
///
/// The files are ours: an upload or what a build machine left, copied by rules. What they say is somebody else's.
struct OCILayout {
    /// One image, checked down to its layers.
    struct Image: Sendable {
        /// `sha256:…` of its manifest.
        var digest: String
        var config: ForeignConfig
        /// The lowest first.
        var layers: [Layer]
    }

    /// How a layer's archive is packed.
    enum Compression: String, Codable, Sendable { case none, gzip, zstd }

    struct Layer: Sendable, Codable, Equatable {
        /// The blob's name in `blobs/sha256`.
        var blob: String
        /// SHA-256 of the uncompressed archive, in hex.
        var diffID: String
        var compression: Compression
    }

    static let mostLayers = 128
    static let mostManifest = 4 << 20
    static let mostConfig = 8 << 20
    /// Of all its indices together.
    private static let mostManifests = 1_000
    private static let mostIndices = 32

    private let directory: String
    /// What the image is called, for people.
    private let name: String

    init(_ directory: String, name: String) {
        self.directory = directory
        self.name = name
    }

    /// - Parameters:
    ///   - tag: which image of several, by the name that its layout gives it.
    ///   - isFetched: only one was fetched, the first for this host's platform, whatever else its index names.
    /// - Throws: `bad_image`, `ambiguous_image`, `exec_format` (for other platforms only), `unsupported_layer`, `image_too_large`.
    func image(tag: String?, limit: Int, isFetched: Bool = false) throws -> Image {
        guard let marker = Disk.read(directory + "/oci-layout", limit: 4_096), let layout = CanonicalJSON.decode(Marker.self, marker) else {
            throw bad(
                "it is no OCI image layout: it has no file oci-layout", "skopeo copy docker-archive:FILE oci:DIR makes one of an older docker save.")
        }
        guard layout.imageLayoutVersion.hasPrefix("1.") else { throw bad("its layout's version is \(layout.imageLayoutVersion.prefix(20))", nil) }
        guard let bytes = Disk.read(directory + "/index.json", limit: Self.mostManifest), let index = CanonicalJSON.decode(Index.self, bytes) else {
            throw bad("its index.json is missing, malformed or over 4 MiB", nil)
        }
        let manifest = try choose(index, tag, isFetched)
        return try image(manifest, limit: limit)
    }

    // MARK: Choosing

    private func choose(_ index: Index, _ tag: String?, _ isFetched: Bool) throws -> Descriptor {
        var named = index.manifests ?? []
        guard named.count <= Self.mostManifests else { throw bad("it names more than \(Self.mostManifests) images", nil) }
        let tags = Set(named.compactMap(\.tag)).sorted()
        if let tag {
            named = named.filter { $0.tag == tag || $0.digest == tag }
            guard !named.isEmpty else {
                throw bad(
                    "it has no image \(tag.prefix(128))",
                    tags.isEmpty ? "Its images have no names." : "It has \(tags.prefix(20).joined(separator: ", ")).")
            }
        }
        var walk = Walk()
        try collect(named, &walk, depth: 0, isFetched)
        let platforms = walk.platforms
        guard let first = walk.found.first else {
            guard !platforms.isEmpty else { throw bad("it holds no image", nil) }
            throw ImageBuildFailure(
                error: "exec_format",
                message:
                    "\(name) is for \(platforms.sorted().prefix(8).joined(separator: ", ")), and this host is linux/\(ImageConfig.hostArchitecture).",
                hint: "Build or copy the image for this platform.")
        }
        if isFetched { return walk.found.first { $0.platform != nil } ?? first }
        guard walk.found.allSatisfy({ $0.digest == first.digest }) else {
            throw ImageBuildFailure(
                error: "ambiguous_image", message: "\(name) holds several images: \(tags.prefix(20).joined(separator: ", ")).",
                hint: "Name one: --oci LAYOUT:NAME.")
        }
        return first
    }

    /// What a walk through indices has come by. Each index is read once, however often it is named.
    private struct Walk {
        var found: [Descriptor] = []
        var platforms: Set<String> = []
        var indices: Set<String> = []
        var entries = 0
    }

    private func collect(_ descriptors: [Descriptor], _ walk: inout Walk, depth: Int, _ isFetched: Bool) throws {
        walk.entries += descriptors.count
        guard walk.entries <= Self.mostManifests else { throw bad("it names more than \(Self.mostManifests) images", nil) }
        for descriptor in descriptors {
            if let platform = descriptor.platform, !platform.isHost {
                // Attestations are listed beside images, as of no platform.
                if platform.os != "unknown" { walk.platforms.insert(platform.text) }
                continue
            }
            switch descriptor.mediaType {
            case "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json":
                guard depth < 3 else { throw bad("its indices are nested too deep", nil) }
                guard walk.indices.insert(descriptor.digest).inserted else { continue }
                // Of what an index names only one was fetched: the other indices are not here.
                if isFetched, depth > 0, !isHere(descriptor) { continue }
                guard walk.indices.count <= Self.mostIndices else { throw bad("it has more than \(Self.mostIndices) indices", nil) }
                let index: Index = try document(descriptor, limit: Self.mostManifest)
                try collect(index.manifests ?? [], &walk, depth: depth + 1, isFetched)
            case "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json":
                walk.found.append(descriptor)
            default: continue
            }
        }
    }

    // MARK: One image

    private func image(_ descriptor: Descriptor, limit: Int) throws -> Image {
        let manifest: Manifest = try document(descriptor, limit: Self.mostManifest)
        guard manifest.schemaVersion == 2 else { throw bad("its manifest's version is \(manifest.schemaVersion)", nil) }
        let config: ForeignConfig = try document(manifest.config, limit: Self.mostConfig)
        guard config.os == "linux", config.architecture == ImageConfig.hostArchitecture else {
            throw ImageBuildFailure(
                error: "exec_format",
                message:
                    "\(name) is for \(config.os.prefix(32))/\(config.architecture.prefix(32)), and this host is linux/\(ImageConfig.hostArchitecture).",
                hint: "Build or copy the image for this platform.")
        }
        let diffIDs = config.rootfs?.diff_ids ?? []
        guard (1...Self.mostLayers).contains(manifest.layers.count) else {
            throw bad("it has \(manifest.layers.count) layers", "1 to \(Self.mostLayers).")
        }
        guard diffIDs.count == manifest.layers.count else { throw bad("its configuration names other layers than its manifest", nil) }
        var (layers, total): ([Layer], Int) = ([], 0)
        for (layer, diffID) in zip(manifest.layers, diffIDs) {
            let compression = try compression(layer)
            guard let hex = Identifier.hex(ofDigest: diffID) else { throw bad("the digest of a layer is no sha256", nil) }
            total = total.addingReportingOverflow(max(0, layer.size)).partialValue
            guard (0...limit).contains(total) else { throw Self.tooLarge(name, limit) }
            layers.append(Layer(blob: try verify(layer), diffID: hex, compression: compression))
        }
        return Image(digest: descriptor.digest, config: config, layers: layers)
    }

    private func compression(_ layer: Descriptor) throws -> Compression {
        switch layer.mediaType {
        case "application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar": return .none
        case "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip": return .gzip
        case "application/vnd.oci.image.layer.v1.tar+zstd": return .zstd
        case let type where type.contains("nondistributable") || type.contains("foreign"):
            throw ImageBuildFailure(
                error: "unsupported_layer", message: "A layer of \(name) lies elsewhere and may not be handed on.", hint: "Take another base image.")
        case let type:
            throw ImageBuildFailure(
                error: "unsupported_layer", message: "A layer of \(name) is \(printable(type)), which is not supported.", hint: nil)
        }
    }

    private func document<Document: Decodable>(_ descriptor: Descriptor, limit: Int) throws -> Document {
        guard (0...limit).contains(descriptor.size) else { throw bad("a document of it is larger than \(limit >> 20) MiB", nil) }
        let hex = try verify(descriptor)
        guard let bytes = Disk.read(path(hex), limit: limit), let document = CanonicalJSON.decode(Document.self, bytes) else {
            throw bad("a document of it is malformed (\(hex.prefix(12)))", nil)
        }
        return document
    }

    private func isHere(_ descriptor: Descriptor) -> Bool {
        Identifier.hex(ofDigest: descriptor.digest).flatMap { Files.status(path($0)) } != nil
    }

    /// A blob's name, once its bytes are what its descriptor says.
    private func verify(_ descriptor: Descriptor) throws -> String {
        guard let hex = Identifier.hex(ofDigest: descriptor.digest) else {
            throw bad("the digest \(printable(descriptor.digest)) is no sha256", nil)
        }
        guard let status = Files.status(path(hex)), status.st_mode.isRegularFile else {
            throw bad("the blob \(hex.prefix(12)) is missing", "Copy the whole layout.")
        }
        guard Int(status.st_size) == descriptor.size, try FileDigest.hex(path(hex)) == hex else {
            throw bad("the blob \(hex.prefix(12)) is not what its digest says", "Copy the layout again.")
        }
        return hex
    }

    private func path(_ hex: String) -> String { directory + "/blobs/sha256/" + hex }

    private func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value > 0x20 && $0.value < 0x7F }).prefix(100))
    }

    private func bad(_ reason: String, _ hint: String?) -> ImageBuildFailure {
        ImageBuildFailure(error: "bad_image", message: "\(name) cannot be used: \(reason).", hint: hint)
    }

    static func tooLarge(_ name: String, _ limit: Int) -> ImageBuildFailure {
        ImageBuildFailure(
            error: "image_too_large", message: "\(name) is larger than \(limit >> 20) MiB unpacked.",
            hint: "Take a smaller image, or raise the bound: berth up --image-limit MIB.")
    }

    // MARK: Documents

    private struct Marker: Decodable { var imageLayoutVersion: String }

    private struct Index: Decodable { var manifests: [Descriptor]? }

    private struct Manifest: Decodable {
        var schemaVersion: Int
        var config: Descriptor
        var layers: [Descriptor]
    }

    private struct Descriptor: Decodable {
        struct Platform: Decodable {
            var architecture: String
            var os: String

            var isHost: Bool { os == "linux" && architecture == ImageConfig.hostArchitecture }
            var text: String { "\(os.prefix(32))/\(architecture.prefix(32))" }
        }

        var mediaType: String
        var digest: String
        var size: Int
        var platform: Platform?
        var annotations: [String: String]?

        var tag: String? { annotations?["org.opencontainers.image.ref.name"].map { String($0.prefix(256)) } }
    }
}

/// The configuration of somebody else's image. What it says is data: how its server is started by default, and nothing that
/// a machine is made with. User, ports, volumes and labels are not even read.
struct ForeignConfig: Decodable, Sendable {
    struct Process: Decodable, Sendable {
        var Entrypoint: [String]?
        var Cmd: [String]?
        var Env: [String]?
        var WorkingDir: String?
    }

    struct RootFS: Decodable, Sendable { var diff_ids: [String]? }

    var architecture: String
    var os: String
    /// RFC 3339; whatever its author wrote.
    var created: String?
    var config: Process?
    var rootfs: RootFS?

    /// ``created`` to the second, its zone aside; nil where it is none.
    var madeAt: Int? {
        created.flatMap { try? Date(String($0.prefix(19)) + "Z", strategy: .iso8601) }.map { Int($0.timeIntervalSince1970) }
    }

    private static let mostVariables = 128
    private static let mostBytes = 64 << 10
    /// A session's own.
    private static let dropped: Set<String> = ["HOME", "TMPDIR", "HOSTNAME"]

    var entrypoint: [String] { config?.Entrypoint ?? [] }
    var arguments: [String] { config?.Cmd ?? [] }

    /// An absolute path without `.` and `..`.
    var directory: String {
        let parts = (config?.WorkingDir ?? "").split(separator: "/").filter { $0 != "." }
        guard !parts.contains(".."), parts.allSatisfy({ $0.utf8.count <= 255 && !$0.utf8.contains(0) }), parts.count <= 32 else { return "/" }
        return "/" + parts.joined(separator: "/")
    }

    /// What can be a variable; the rest is left out.
    var environment: [String: String] {
        var environment: [String: String] = [:]
        var bytes = 0
        for line in config?.Env ?? [] {
            guard environment.count < Self.mostVariables, let equals = line.firstIndex(of: "=") else { continue }
            let name = String(line[..<equals])
            bytes += line.utf8.count
            guard bytes <= Self.mostBytes, !line.utf8.contains(0), !Self.dropped.contains(name), Self.isName(name) else { continue }
            environment[name] = String(line[line.index(after: equals)...])
        }
        if environment["PATH"] == nil { environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }
        return environment
    }

    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first), name.utf8.count <= 128 else { return false }
        return name.utf8.allSatisfy { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "_") }
    }
}
