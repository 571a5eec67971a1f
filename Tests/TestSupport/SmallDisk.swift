import CLinux
import Foundation

/// A small file system that one thread sees, in a mount namespace of its own, and that is gone with it. Needs root.
public enum SmallDisk {
    public static let isPossible = geteuid() == 0

    /// Runs `body` on that thread with a folder on a tmpfs of so many bytes. What it expects it had better answer: a thread that is
    /// no task's belongs to no test.
    public static func run<T: Sendable>(bytes: Int, _ body: @escaping @Sendable (String) throws -> T) async throws -> T {
        let folder = FileManager.default.temporaryDirectory.path + "/berth-disk-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try await withCheckedThrowingContinuation { continuation in
            let thread = Thread {
                continuation.resume(
                    with: Result {
                        try check(clinux_unshare_mounts(), "unshare")
                        try check(clinux_mount("none", "/", nil, clinux_ms_private_rec(), nil), "make mounts private")
                        try check(clinux_mount("berth-test", folder, "tmpfs", 0, "size=\(bytes),mode=700"), "mount")
                        defer { _ = clinux_umount_detach(folder) }
                        return try body(folder)
                    })
            }
            thread.start()
        }
    }

    private static func check(_ result: Int32, _ step: String) throws {
        if result < 0 { throw CommandError(description: "\(step): \(String(cString: strerror(-result)))") }
    }
}
