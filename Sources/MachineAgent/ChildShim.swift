import CLinux
import Glibc
import StdioBridge

/// The `child` mode: a fresh copy of this binary between the agent and the connector's program. Swift cannot run code
/// between fork and exec, and a forked copy would hold the door's keys; this one knows nothing but its launch record, gives
/// every privilege up, and becomes the program.
enum ChildShim {
    /// The order matters, and only returns when a step failed.
    static func run(uid: uid_t) -> Never {
        guard var record = readRecord() else { fail("launch record", EPROTO) }
        check("parent death signal", clinux_set_parent_death_signal(SIGKILL))
        limit(record.limits)
        score()
        check("identity", clinux_become(uid, uid))
        // A change of uid clears the death signal; a parent that died in between left us to init.
        check("parent death signal", clinux_set_parent_death_signal(SIGKILL))
        if getppid() != record.parent { fail("parent", ESRCH) }
        check("no new privileges", clinux_set_no_new_privs())
        umask(0o077)
        makeHome(record)
        if chdir(record.directory) != 0 { fail("directory \(record.directory)", errno) }
        check("descriptors", clinux_close_range(3, UInt32.max))
        if ChildTrace.isAsked(&record.environment) {
            ChildTrace.split()
            // A fork of ours has no death signal yet.
            check("parent death signal", clinux_set_parent_death_signal(SIGKILL))
        }
        become(record)
    }

    private static func become(_ record: LaunchRecord) -> Never {
        let path = record.environment.last { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? ""
        guard let program = ExecutablePath.find(record.command[0], path: String(path)) else {
            fail("program \(record.command[0])", ENOENT, status: 127)
        }
        let failed = withCStrings(record.command) { arguments in
            withCStrings(record.environment) { environment in clinux_execve(program, arguments, environment) }
        }
        fail("exec \(program)", -failed, status: 126)
    }

    /// Everything on descriptor 3 up to its end.
    private static func readRecord() -> LaunchRecord? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(3, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes.append(contentsOf: chunk.prefix(count))
        }
        close(3)
        return LaunchRecord(decoding: bytes)
    }

    private static func limit(_ limits: LaunchRecord.Limits) {
        for (resource, value) in [
            (clinux_rlimit_nproc(), limits.processes), (clinux_rlimit_nofile(), limits.openFiles), (clinux_rlimit_core(), 0),
            (clinux_rlimit_fsize(), limits.fileBytes),
        ] {
            check("limit \(resource)", clinux_setrlimit(resource, UInt64(value), UInt64(value)))
        }
    }

    /// First to go when memory runs out: a machine whose agent died is lost for every session.
    private static func score() {
        let descriptor = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { fail("oom_score_adj", errno) }
        if write(descriptor, "1000", 4) != 4 { fail("oom_score_adj", errno) }
        close(descriptor)
    }

    /// Made after the change of uid: the agent cannot give files away, and nobody can have guessed the name.
    private static func makeHome(_ record: LaunchRecord) {
        if mkdir(record.home, 0o700) != 0 { fail("private directory", errno) }
        for file in record.files {
            let descriptor = open(record.home + "/" + file.name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o400)
            guard descriptor >= 0 else { fail("credential file", errno) }
            var content = Array(file.content.utf8)[...]
            while !content.isEmpty {
                let count = content.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                if count <= 0 { fail("credential file", errno) }
                content = content.dropFirst(count)
            }
            close(descriptor)
        }
    }

    private static func check(_ step: String, _ result: Int32) {
        if result < 0 { fail(step, -result) }
    }

    static func fail(_ step: String, _ error: Int32, status: Int32 = 125) -> Never {
        let reason = strerror(error).map { String(cString: $0) } ?? "errno \(error)"
        let line = "berth-agent child: \(step): \(reason)\n"
        _ = write(2, line, line.utf8.count)
        exit(status)
    }
}
