import Glibc
import MachineAPI

/// The free space that a build needs before it begins: what it would take from calls, databases and the audit log is theirs.
public enum BuildRoom {
    /// 1 GiB.
    public static let standard = 1 << 30

    /// Bytes that are free for others than root on the file system of `path`; nil where it cannot be told.
    public static func free(_ path: String) -> Int? {
        var space = statvfs()
        guard statvfs(path, &space) == 0 else { return nil }
        return Int(space.f_bavail) * Int(space.f_frsize)
    }

    /// - Throws: ``ImageBuildFailure`` with `low_disk`.
    static func check(_ path: String, needs room: Int) throws(ImageBuildFailure) {
        guard let free = free(path), free < room else { return }
        throw ImageBuildFailure(
            error: "low_disk", message: "Only \(free >> 20) MiB are free on the disk of \(path), and a build needs \(room >> 20) MiB.",
            hint: "Free some space on it (berth status shows what takes it); calls go on.")
    }
}
