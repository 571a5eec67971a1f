import CLinux
import Door
import Glibc

/// Tells on standard error which system calls a server's processes made that were refused, each once: for a trial, whose author asks what
/// stands in the way. The process that follows them has the child's own uid, and nothing that the child has not.
///
/// One line each, `berth-trace: KIND CALL ERROR [SUBJECT]`: `path` (refused), `absent` (of places that a person's machine has, and this one
/// has not), `address`, `call`, `limit`.
enum ChildTrace {
    /// Lines at most.
    private static let most = 200

    /// Whether the environment asks for it; that variable is taken out, for it is the agent's.
    static func isAsked(_ environment: inout [String]) -> Bool {
        let count = environment.count
        let isOn = environment.contains(BootDocument.traceVariable + "=1")
        environment.removeAll { $0.hasPrefix(BootDocument.traceVariable + "=") }
        return isOn && environment.count < count
    }

    /// Returns in a fresh process, which is to become the program; this one follows it and ends as it does.
    static func split() {
        let child = clinux_trace_split()
        guard child != 0 else { return }
        guard child > 0 else {
            // In the fresh one where it may not be traced, in this one where there was no other: the program runs all the same.
            say("off ptrace \(ErrorName.of(-child))")
            return
        }
        // Its streams are the program's alone, so that their end is seen.
        close(0)
        close(1)
        follow()
    }

    private static func follow() -> Never {
        var trace = clinux_trace()
        var call = clinux_failed_call()
        var told: Set<String> = []
        while unsafe clinux_trace_next(&trace, &call) == 1 {
            guard told.count < most, let line = line(call), told.insert(line).inserted else { continue }
            say(line)
            if told.count == most { say("more") }
        }
        if trace.signal != 0 {
            signal(trace.signal, SIG_DFL)
            kill(getpid(), trace.signal)
        }
        exit(trace.exit_code)
    }

    private static func say(_ line: String) {
        let text = "berth-trace: \(line)\n"
        _ = unsafe write(2, text, text.utf8.count)
    }

    // MARK: What counts

    /// nil for what fails everywhere.
    private static func line(_ call: clinux_failed_call) -> String? {
        let name = text(call.name)
        let subject = printable(text(call.subject))
        let kind: String
        switch call.error {
        case EMFILE, ENFILE, ENOSPC, EDQUOT, EFBIG: kind = "limit"
        case EAGAIN where ["clone", "fork", "vfork"].contains(name), ENOMEM where ["mmap", "brk", "mremap", "clone"].contains(name): kind = "limit"
        case EROFS, EACCES, EPERM: kind = call.kind == 1 ? "path" : call.kind == 2 ? "address" : "call"
        case ENOSYS: kind = "call"
        case ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL: kind = "address"
        case ENOENT where call.kind == 1 && isPersonal(subject): kind = "absent"
        default: return nil
        }
        // Every libc falls back from clone3, which no machine has.
        if kind == "call", name == "clone3" { return nil }
        return "\(kind) \(name) \(ErrorName.of(call.error))" + (subject.isEmpty ? "" : " " + subject)
    }

    /// Where an author's own files and services are, and nobody else looks.
    private static func isPersonal(_ path: String) -> Bool {
        ["/home/", "/root/", "/mnt/", "/media/", "/data/", "/Users/", "/var/run/", "/run/user/", "/run/secrets/", "/var/lib/"].contains { path.hasPrefix($0) }
    }

    private static func text<T>(_ characters: T) -> String {
        unsafe withUnsafeBytes(of: characters) { bytes in unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "\u{FFFD}" : $0 }))
    }
}

/// Names of the kernel's errors, as its manual has them.
enum ErrorName {
    static func of(_ number: Int32) -> String {
        let names: [Int32: String] = [
            EPERM: "EPERM", ENOENT: "ENOENT", EAGAIN: "EAGAIN", ENOMEM: "ENOMEM", EACCES: "EACCES", EMFILE: "EMFILE", ENFILE: "ENFILE", EFBIG: "EFBIG",
            ENOSPC: "ENOSPC", EROFS: "EROFS", ENOSYS: "ENOSYS", EDQUOT: "EDQUOT", ENETUNREACH: "ENETUNREACH", EHOSTUNREACH: "EHOSTUNREACH",
            EADDRNOTAVAIL: "EADDRNOTAVAIL",
        ]
        return names[number] ?? "error \(number)"
    }
}
