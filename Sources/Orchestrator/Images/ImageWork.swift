import Glibc
import MachineAPI

/// One build under way, of whatever source.
protocol ImageWork: Sendable {
    var factory: ImageFactory { get }
    var step: @Sendable (String) -> Void { get }
    /// What it starts from, which stays as long as the build runs.
    var parts: [SharedPart] { get }
    /// Makes the image in a private directory that goes with the build.
    func image(in building: String) async throws -> BuiltImage
}

extension ImageWork {
    var store: ImageStore { factory.store }

    func image() async throws -> BuiltImage {
        let building = try await Disk.work { [store] in try store.makeBuilding() }
        do {
            for part in parts { try await keep(part, for: building) }
            let built = try await image(in: building)
            await Disk.cleanUp(building)
            return built
        } catch {
            await Disk.cleanUp(building)
            throw error
        }
    }

    /// Holds a part for this build: it may have waited for other builds for long.
    func keep(_ part: SharedPart, for building: String) async throws {
        guard try await Disk.work({ [store] in try store.renewLayer(part.layer.hex, for: building) }) else {
            throw ImageBuildFailure(error: "outdated", message: "What the build was to start from was replaced.", hint: "Try again.")
        }
    }

    /// Writes the image.
    ///
    /// - Parameters:
    ///   - shared: layers that other images have too, the lowest first.
    ///   - own: what this one adds.
    func publish(
        shared: [LayerArchive.Digest], own: [LayerArchive.Digest], command: [String], directory: String, environment: [String: String],
        packages: [String] = []
    ) async throws -> BuiltImage {
        let bytes = own.reduce(0) { $0 + $1.size }
        if bytes > ImageSettings.largeImage {
            step("Warning: the image has \(bytes >> 20) MB of its own; large ones take disk, and long to build.")
        }
        let image = try await Disk.work { [store] in
            try store.publishImage(layers: shared + own, command: command, directory: directory, environment: environment)
        }
        return BuiltImage(image: image, command: command, directory: directory, environment: environment, packages: packages, bytes: bytes)
    }

    /// Unpacks an upload into a fresh directory below `building`, as plain files, directories and links inside it.
    func unpackUpload(_ digest: String, in building: String) async throws -> String {
        guard let archive = factory.uploads.path(of: digest) else {
            throw ImageBuildFailure(
                error: "unknown_upload", message: "Nothing was uploaded under \(digest).",
                hint: "Upload it again; uploads are kept for a while only.")
        }
        let (raw, limits) = (building + "/raw", factory.settings.limits)
        return try await Disk.work {
            guard mkdir(raw, 0o700) == 0 else { throw Disk.failure("mkdir", raw, errno) }
            try Unpacking.unpack(archive, into: raw, limits: limits)
            return raw
        }
    }
}
