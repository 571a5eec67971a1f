import Glibc

/// What a folder takes on disk, and what is left there.
enum DiskUse {
    /// Kept free for everything that is not a build.
    static let reserve = 64 << 20

    static func isNearlyFull(_ path: String) -> Bool {
        var space = statvfs()
        guard statvfs(path, &space) == 0 else { return false }
        return Int(space.f_bavail) * Int(space.f_frsize) < reserve || (space.f_files > 0 && space.f_favail < 1_024)
    }

    static func bytes(_ path: String) -> Int { Files.diskUse(path) }

    /// When a folder that grows as fast as a fast disk writes may have passed its limit: a folder has no quota of its own, so
    /// that it can be bounded while it grows only by looking, and exactly only when its writer is gone.
    static func nextLook(at bytes: Int, limit: Int) -> Duration {
        let left = max(0, limit - bytes)
        return min(max(.milliseconds(left >> 21), .milliseconds(200)), .seconds(2))
    }
}
