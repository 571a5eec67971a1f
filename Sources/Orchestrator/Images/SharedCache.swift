import Glibc
import MachineAPI
import Sealing

/// A tree that every image of a kind starts from: the base system, or the build tools.
struct SharedPart: Codable, Sendable, Equatable {
    /// What it was made of.
    var key: String
    var layer: LayerArchive.Digest
    /// Facts about it (`python` = the minor version, as in `3.11`).
    var facts: [String: String]

    static func read(_ path: String) -> SharedPart? {
        Disk.read(path, limit: 1 << 20).flatMap { CanonicalJSON.decode(SharedPart.self, $0) }
    }
}

/// Base and builder trees of this host, made once and shared by all state directories.
///
/// A state directory takes a part over by hard links (by copies across file systems) and checks its digest once, so it is
/// complete by itself: removing the cache costs time, never an image.
struct SharedCache: Sendable {
    let directory: String

    init(directory: String) { self.directory = directory }

    /// Finds the part of a key in the store, else in the cache, else makes it.
    ///
    /// - Parameters:
    ///   - kind: `base` or `builder`.
    ///   - make: fills the empty directory that it is given and answers the facts.
    func part(
        _ kind: String, key: String, into store: ImageStore, step: @Sendable (String) -> Void,
        make: (_ tree: String, _ scratch: String) async throws -> [String: String]
    ) async throws -> SharedPart {
        let record = store.directory + "/part-\(kind).json"
        if let part = try await Disk.work({ SharedPart.read(record) }), part.key == key, store.hasLayer(part.layer.hex) { return part }

        try await Disk.work { try Disk.makePrivate(directory) }
        let lock = try await Self.lock(directory + "/\(kind)-\(key.prefix(16)).lock", step: step)
        defer { close(lock) }
        let home = directory + "/\(kind)-\(key)"
        let part: SharedPart
        if let cached = try await Disk.work({ SharedPart.read(home + "/part.json") }), cached.key == key {
            part = cached
            do {
                try await Disk.work { try Self.adopt(part, tree: home + "/tree", store: store) }
            } catch let failure as ImageBuildFailure where failure.error == "damaged" {
                step("The shared cache was damaged: making this part again.")
                try await Disk.work { try Files.removeTree(home) }
                return try await self.make(kind, key: key, home: home, store: store, record: record, make: make)
            }
            try await Disk.work { try Disk.replace(record, try CanonicalJSON.encode(part), staging: store.directory + "/building") }
            return part
        }
        return try await self.make(kind, key: key, home: home, store: store, record: record, make: make)
    }

    private func make(
        _ kind: String, key: String, home: String, store: ImageStore, record: String,
        make: (_ tree: String, _ scratch: String) async throws -> [String: String]
    ) async throws -> SharedPart {
        let building = directory + "/building-\(kind)-\(key)"
        try await Disk.work {
            // We hold the lock of this key, so what lies here was cut off.
            try Files.removeTree(building)
            try Files.removeTree(home)
            for path in [building, building + "/part", building + "/scratch"] {
                guard mkdir(path, 0o700) == 0 else { throw Disk.failure("mkdir", path, errno) }
            }
            let tree = building + "/part/tree"
            guard mkdir(tree, 0o755) == 0, chmod(tree, 0o755) == 0 else { throw Disk.failure("mkdir", tree, errno) }
        }
        do {
            let facts = try await make(building + "/part/tree", building + "/scratch")
            let part = try await Disk.work {
                let digest = try LayerArchive.digest(of: building + "/part/tree")
                let part = SharedPart(key: key, layer: digest, facts: facts)
                try Disk.replace(building + "/part/part.json", try CanonicalJSON.encode(part), staging: building)
                try Disk.publish(building + "/part", as: home)
                try Files.removeTree(building)
                try Self.adopt(part, tree: home + "/tree", store: store)
                try Disk.replace(record, try CanonicalJSON.encode(part), staging: store.directory + "/building")
                return part
            }
            return part
        } catch {
            await Disk.cleanUp(building)
            throw error
        }
    }

    /// Makes the store's own copy of a cached tree, checked.
    private static func adopt(_ part: SharedPart, tree: String, store: ImageStore) throws {
        if try store.renewLayer(part.layer.hex) { return }
        let building = try store.makeBuilding()
        defer { try? Files.removeTree(building) }
        let copy = building + "/layer"
        guard mkdir(copy, 0o755) == 0 else { throw Disk.failure("mkdir", copy, errno) }
        try LinkedTree.make(of: tree, at: copy)
        guard try store.publishLayer(copy).hex == part.layer.hex else {
            throw ImageBuildFailure(error: "damaged", message: "\(tree) is not what it was.", hint: "Remove it; Berth makes it anew.")
        }
    }

    /// Waits for the lock of one key; another process may be making the same part.
    private static func lock(_ path: String, step: @Sendable (String) -> Void) async throws -> Int32 {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Disk.failure("open", path, errno) }
        var told = false
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                close(descriptor)
                throw Disk.failure("flock", path, errno)
            }
            if !told { step("Waiting for another Berth on this host that makes the same part.") }
            told = true
            do {
                try await Task.sleep(for: .milliseconds(200))
            } catch {
                close(descriptor)
                throw error
            }
        }
        return descriptor
    }
}

/// A second tree of the same files: hard links where the file system allows them, copies elsewhere.
enum LinkedTree {
    static func make(of source: String, at destination: String) throws {
        for name in Files.names(source) {
            let (from, to) = (source + "/" + name, destination + "/" + name)
            guard let status = Files.status(from) else { throw Disk.failure("stat", from, errno) }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                guard mkdir(to, 0o755) == 0, chmod(to, status.st_mode & 0o7777) == 0 else { throw Disk.failure("mkdir", to, errno) }
                try make(of: from, at: to)
            case S_IFLNK:
                var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
                guard readlink(from, &buffer, buffer.count - 1) > 0, symlink(buffer, to) == 0 else { throw Disk.failure("symlink", to, errno) }
            default:
                if link(from, to) == 0 { continue }
                try FileCopy.copy(from, to: to, mode: status.st_mode & 0o7777)
            }
        }
    }
}
