import CLinux
import Glibc

/// A folder of memory as a machine has it, seen through its first process. Nothing of the machine is followed: its root is ours and
/// cannot be written, and a name in it that is a link is refused.
enum MachineFolder {
    private static let tmpfs = 0x0102_1994

    static func use(of folder: String, process: Int32) -> MachineStatistics.FileSystemUse? {
        guard let descriptor = open(folder, process) else { return nil }
        var use = statvfs()
        guard fstatvfs(descriptor.value, &use) == 0 else { return nil }
        let block = Int(use.f_frsize)
        return MachineStatistics.FileSystemUse(used: max(0, Int(use.f_blocks) - Int(use.f_bfree)) * block, limit: Int(use.f_blocks) * block)
    }

    /// Every user of the machine may make files there. Some runtimes (runc) give what they mount the mode of what the image has there,
    /// whatever the configuration says.
    static func share(_ folder: String, process: Int32) {
        guard let descriptor = open(folder, process) else { return }
        fchmod(descriptor.value, 0o1777)
    }

    private static func open(_ folder: String, _ process: Int32) -> Descriptor? {
        let descriptor = Descriptor(Glibc.open("/proc/\(process)/root/\(folder)", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        guard descriptor.value >= 0, clinux_file_system("/proc/self/fd/\(descriptor.value)") == tmpfs else { return nil }
        return descriptor
    }
}
