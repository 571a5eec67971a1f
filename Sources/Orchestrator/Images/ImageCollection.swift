import Glibc
import MachineAPI

/// What a collection removed.
public struct Collected: Sendable, Equatable {
    public var images: Int
    public var layers: Int

    public init(images: Int, layers: Int) {
        self.images = images
        self.layers = layers
    }
}

/// One pass over a store that removes what nobody needs: images first, then configurations, build results and layers
/// that no remaining image names.
struct ImageCollection: Sendable {
    var directory: String
    var keeping: Set<String>
    /// Seconds within which a thing counts as just made.
    var grace: Int
    /// Layers that stay whatever images there are.
    var layers: Set<String>

    /// What a pass took out of the store.
    struct Found: Sendable {
        var images = 0
        /// Layers, where they wait for their removal.
        var graves: [String] = []
    }

    /// Decides what goes and takes it out of the store, each thing in one step; nobody may take up anything meanwhile.
    func setAside() throws -> Found {
        var found = Found()
        // Before the images are read: a build that ends in between has written its image.
        var layers = layers.union(LayerPins.all(in: directory))
        var configs: Set<String> = []
        for hex in names("manifests") {
            let digest = "sha256:" + hex
            let path = directory + "/manifests/\(hex).json"
            guard keeping.contains(digest) || isYoung(path) else {
                guard unlink(path) == 0 else { throw Disk.failure("unlink", path, errno) }
                found.images += 1
                continue
            }
            guard let bytes = Disk.read(path, limit: 4 << 20), let manifest = CanonicalJSON.decode(ImageManifest.self, bytes) else { continue }
            if let hex = Identifier.hex(ofDigest: manifest.config.digest) { configs.insert(hex) }
            layers.formUnion(manifest.layers.compactMap { Identifier.hex(ofDigest: $0.digest) })
        }
        for hex in names("configs") where !configs.contains(hex) {
            let path = directory + "/configs/\(hex).json"
            if !isYoung(path) { unlink(path) }
        }
        for key in names("builds") {
            let path = directory + "/builds/\(key).json"
            guard let bytes = Disk.read(path, limit: 4 << 20), let record = CanonicalJSON.decode(BuildRecord.self, bytes),
                let hex = Identifier.hex(ofDigest: record.built.image), Files.status(directory + "/manifests/\(hex).json") != nil
            else {
                unlink(path)
                continue
            }
        }
        // The parts that the next build starts from stay, for they are what takes longest to make.
        for name in Files.names(directory) where name.hasPrefix("part-") && name.hasSuffix(".json") {
            guard let bytes = Disk.read(directory + "/" + name, limit: 1 << 20), let part = CanonicalJSON.decode(SharedPart.self, bytes) else {
                continue
            }
            layers.insert(part.layer.hex)
        }
        for hex in Files.names(directory + "/layers") where !layers.contains(hex) {
            let path = directory + "/layers/" + hex
            if isYoung(path) { continue }
            let grave = directory + "/building/" + Identifier.random()
            guard rename(path, grave) == 0 else { throw Disk.failure("rename", path, errno) }
            found.graves.append(grave)
        }
        return found
    }

    /// The slow part. What it does not come to goes with the next start's half-made things.
    func remove(_ found: Found) throws -> Collected {
        for grave in found.graves { try Files.removeTree(grave) }
        return Collected(images: found.images, layers: found.graves.count)
    }

    private func names(_ kind: String) -> [String] {
        Files.names(directory + "/" + kind).filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
    }

    /// By the time of the last change of the inode: a rename into place counts, what an archive claims does not.
    private func isYoung(_ path: String) -> Bool {
        guard let status = Files.status(path) else { return true }
        return time(nil) - Files.parts(of: status.st_ctim).seconds < grace
    }
}
