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

    /// What goes: names without their folder and suffix.
    struct Plan: Sendable, Equatable {
        var images: [String] = []
        var layers: [String] = []
        var configs: [String] = []
        /// Results of builds whose image goes, or is gone.
        var builds: [String] = []
        var facts: [String] = []
        /// Images that stay for their age alone.
        var young: [String] = []
    }

    /// Looks at what is here; nobody may take up anything meanwhile, where the plan is to be carried out.
    func plan() -> Plan {
        var plan = Plan()
        // Before the images are read: a build that ends in between has written its image.
        var layers = layers.union(LayerPins.all(in: directory))
        var (configs, images): (Set<String>, Set<String>) = ([], [])
        for hex in names("manifests") {
            let path = directory + "/manifests/\(hex).json"
            if !keeping.contains("sha256:" + hex) {
                guard isYoung(path) else {
                    plan.images.append(hex)
                    continue
                }
                plan.young.append(hex)
            }
            images.insert(hex)
            guard let bytes = Disk.read(path, limit: 4 << 20), let manifest = CanonicalJSON.decode(ImageManifest.self, bytes) else { continue }
            if let hex = Identifier.hex(ofDigest: manifest.config.digest) { configs.insert(hex) }
            layers.formUnion(manifest.layers.compactMap { Identifier.hex(ofDigest: $0.digest) })
        }
        plan.configs = names("configs").filter { !configs.contains($0) && !isYoung(directory + "/configs/\($0).json") }
        plan.builds = names("builds").filter { key in
            guard let bytes = Disk.read(directory + "/builds/\(key).json", limit: 4 << 20),
                let record = CanonicalJSON.decode(BuildRecord.self, bytes), let hex = Identifier.hex(ofDigest: record.built.image)
            else { return true }
            return !images.contains(hex)
        }
        plan.facts = names("facts").filter { !images.contains($0) }
        // The parts that the next build starts from stay, for they are what takes longest to make.
        for name in Files.names(directory) where name.hasPrefix("part-") && name.hasSuffix(".json") {
            guard let part = SharedPart.read(directory + "/" + name) else { continue }
            layers.insert(part.layer.hex)
        }
        plan.layers = Files.names(directory + "/layers").filter { !layers.contains($0) && !isYoung(directory + "/layers/" + $0) }
        return plan
    }

    /// Decides what goes and takes it out of the store, each thing in one step; nobody may take up anything meanwhile.
    func setAside() throws -> Found {
        let plan = plan()
        var found = Found()
        for hex in plan.images {
            let path = directory + "/manifests/\(hex).json"
            guard unlink(path) == 0 else { throw Disk.failure("unlink", path, errno) }
            found.images += 1
        }
        for (kind, names) in [("configs", plan.configs), ("builds", plan.builds), ("facts", plan.facts)] {
            for name in names { unlink(directory + "/\(kind)/\(name).json") }
        }
        for hex in plan.layers {
            let path = directory + "/layers/" + hex
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
