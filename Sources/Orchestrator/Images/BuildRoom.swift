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

    /// What a build leaves free, however large what it makes turns out to be: 128 MiB, or a sixteenth of a small disk.
    ///
    /// - Throws: ``ImageBuildFailure`` with `low_disk`, where `bytes` more would take of it.
    static func check(_ directory: Int32, fits bytes: Int) throws(ImageBuildFailure) {
        var space = statvfs()
        guard fstatvfs(directory, &space) == 0 else { return }
        let (free, total) = (Int(space.f_bavail) * Int(space.f_frsize), Int(space.f_blocks) * Int(space.f_frsize))
        guard free - bytes < min(128 << 20, total / 16) else { return }
        throw ImageBuildFailure(
            error: "low_disk", message: "Only \(free >> 20) MiB are left on the disk, and the image needs more.",
            hint: "Free some space on it (berth status shows what takes it), or take a smaller image; calls go on.")
    }

    /// - Throws: ``ImageBuildFailure`` with `low_disk`.
    static func check(_ path: String, needs room: Int) throws(ImageBuildFailure) {
        guard let free = free(path), free < room else { return }
        throw ImageBuildFailure(
            error: "low_disk", message: "Only \(free >> 20) MiB are free on the disk of \(path), and a build needs \(room >> 20) MiB.",
            hint: "Free some space on it (berth status shows what takes it); calls go on.")
    }
}
