import CLinux
import Glibc

/// What must be true of a process, or of the threads that do its machine work, before the first machine is made.
enum ProcessPreparation {
    /// Moves the caller into a mount namespace of its own, from which nothing propagates to the host: mounts made in it
    /// vanish with the last process that uses them, also after `kill -9`.
    ///
    /// On a host with hybrid cgroups an empty tmpfs covers the cgroup2 mount there, because crun refuses hybrid hosts and
    /// then makes plain directories in its place; hence the room.
    static func enterPrivateMounts() throws(OCIError) {
        try check(clinux_unshare_mounts(), "unshare", "CLONE_NEWNS")
        try check(clinux_mount("none", "/", nil, clinux_ms_private_rec(), nil), "mount", "/ (private)")
        if CgroupTree.isHybrid {
            try check(
                clinux_mount("none", CgroupTree.unified, "tmpfs", clinux_ms_nosuid_nodev_noexec(), "size=16m,mode=755"), "mount",
                CgroupTree.unified)
        }
    }

    /// Whether every thread lives in the same mount namespace, and not in the one that process 1 lives in.
    static func verifyPrivateMounts() throws(OCIError) {
        let remedy = "call OCIRuntime.prepareProcess() as the first act of a synchronous main"
        guard let own = namespace("/proc/self/ns/mnt") else { throw OCIError(.notPrepared, "/proc is not mounted") }
        // As process 1 of a container there is no other process to compare with.
        if getpid() != 1, namespace("/proc/1/ns/mnt") == own {
            throw OCIError(.notPrepared, "the process shares the host's mount namespace", hint: remedy)
        }
        for task in Files.names("/proc/self/task") {
            guard let other = namespace("/proc/self/task/\(task)/ns/mnt") else { continue }
            if other != own { throw OCIError(.notPrepared, "thread \(task) lives in another mount namespace", hint: remedy) }
        }
        if CgroupTree.isHybrid { throw OCIError(.notPrepared, "\(CgroupTree.unified) is not covered", hint: remedy) }
    }

    static func becomeSubreaper() throws(OCIError) {
        try check(clinux_set_child_subreaper(1), "prctl", "PR_SET_CHILD_SUBREAPER")
    }

    private static func namespace(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    private static func check(_ result: Int32, _ call: String, _ object: String) throws(OCIError) {
        if result < 0 {
            throw OCIError(
                .system, "\(call) \(object): \(String(cString: strerror(-result)))",
                hint: result == -EPERM ? "the orchestrator runs as root, with CAP_SYS_ADMIN" : "")
        }
    }
}

extension OCIRuntime {
    /// The first act of a synchronous `main`, while the process has one thread: a private mount namespace, the hybrid
    /// cgroup2 mount covered, this process the parent of its machines' orphans, SIGPIPE ignored.
    public static func prepareProcess() throws {
        let threads = Files.names("/proc/self/task").count
        guard threads == 1 else {
            throw OCIError(.notPrepared, "the process has \(threads) threads already", hint: "prepare it before anything else in main")
        }
        try ProcessPreparation.enterPrivateMounts()
        try ProcessPreparation.becomeSubreaper()
        Glibc.signal(SIGPIPE, SIG_IGN)
    }
}
