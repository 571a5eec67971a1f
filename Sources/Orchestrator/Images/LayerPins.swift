import Glibc

/// Layers that a build under way needs, as names in the build's own directory: they go with it, however it ends.
enum LayerPins {
    static func add(_ hex: String, to building: String) throws {
        let folder = building + "/pins"
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw Disk.failure("mkdir", folder, errno) }
        let descriptor = Descriptor(open(folder + "/" + hex, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600))
        guard descriptor.value >= 0 else { throw Disk.failure("create", folder + "/" + hex, errno) }
    }

    /// Those of every build in a store.
    static func all(in store: String) -> Set<String> {
        Set(Files.names(store + "/building").flatMap { Files.names(store + "/building/\($0)/pins") })
    }
}
