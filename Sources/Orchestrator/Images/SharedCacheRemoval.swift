import Glibc

/// Takes what one state had of the shared cache out of it, where no other state has it too.
public enum SharedCacheRemoval {
    /// A part that stays, and why.
    public struct Kept: Sendable, Equatable {
        public var path: String
        public var why: String
    }

    /// What a state has taken over: names of folders in the cache, `base-<key>`.
    ///
    /// - Parameter images: the state's image store, before it is removed.
    public static func parts(of images: String) -> [String] {
        Files.names(images).compactMap { name in
            guard name.hasPrefix("part-"), name.hasSuffix(".json") else { return nil }
            let kind = name.dropFirst(5).dropLast(5)
            guard !kind.isEmpty, kind.utf8.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }),
                let part = SharedPart.read(images + "/" + name), part.key.utf8.count == 64, Identifier.isHex(part.key)
            else { return nil }
            return "\(kind)-\(part.key)"
        }
    }

    /// Removes those parts. The state's own links to their files are gone by now, so that every further one is another state's.
    ///
    /// - Returns: those that stay.
    public static func remove(_ parts: [String], from cache: String) throws -> [Kept] {
        var kept: [Kept] = []
        for part in parts {
            let home = cache + "/" + part
            guard Files.isDirectory(home) else { continue }
            guard let kind = part.split(separator: "-").first, let key = part.split(separator: "-").last else { continue }
            let path = cache + "/\(kind)-\(key.prefix(16)).lock"
            let lock = Descriptor(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600))
            guard lock.value >= 0, flock(lock.value, LOCK_EX | LOCK_NB) == 0 else {
                kept.append(Kept(path: home, why: "another Berth is at it"))
                continue
            }
            if isLinked(home + "/tree") {
                kept.append(Kept(path: home, why: "another state has images on it"))
                continue
            }
            try Files.removeTree(home)
            unlink(path)
        }
        rmdir(cache)
        return kept
    }

    /// Whether a file below has a name elsewhere too.
    private static func isLinked(_ directory: String) -> Bool {
        for name in Files.names(directory) {
            guard let status = Files.status(directory + "/" + name) else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                if isLinked(directory + "/" + name) { return true }
            } else if status.st_mode & S_IFMT == S_IFREG, status.st_nlink > 1 {
                return true
            }
        }
        return false
    }
}
