import CLinux
import Door
import Glibc
import NIOCore
import NIOPosix
import StdioBridge

/// The machine's agent: one binary with three modes.
public enum Agent {
    /// Runs the mode that `arguments` (without the program's name) asks for, to its end; the result is the exit status.
    ///
    /// - `agent [--first-uid N]`: serves the door on descriptor 3 by the boot document on descriptor 4.
    /// - `child UID`: becomes a connector's program; reads what to become from descriptor 3.
    /// - `kill UID`: removes what a child left.
    public static func main(_ arguments: [String]) -> Int32 {
        switch arguments.first {
        case "agent":
            // Before anything else: from here on no process of another uid can look into this one.
            guard clinux_set_dumpable(0) == 0, clinux_get_dumpable() == 0 else {
                AgentLog()(.error, "the kernel lets others look into this process (PR_SET_DUMPABLE)")
                return 71
            }
            return run(Array(arguments.dropFirst()))
        case "child":
            ChildShim.run(uid: uid(arguments))
        case "kill":
            ChildRemoval.run(uid: uid(arguments))
        default:
            return usage()
        }
    }

    private static func usage() -> Int32 {
        let text = "usage: berth-agent agent | child UID | kill UID\n"
        _ = write(2, text, text.utf8.count)
        return 64
    }

    /// Never 0: these modes exist to give root away.
    private static func uid(_ arguments: [String]) -> uid_t {
        guard arguments.count == 2, let uid = uid_t(arguments[1]), uid > 0, uid < uid_t.max - ChildPlans.capacity else { exit(usage()) }
        return uid
    }

    private static func run(_ options: [String]) -> Int32 {
        var firstUID: uid_t = 1000
        switch options.count {
        case 0: break
        case 2 where options[0] == "--first-uid":
            guard let uid = uid_t(options[1]), uid > 0, uid < uid_t.max - 2 * ChildPlans.capacity else { return usage() }
            firstUID = uid
        default: return usage()
        }
        _ = clinux_set_cloexec(BootChannel.door, 1)
        // Before anything of ours could have that number.
        let memoryKills = BootChannel.memoryKills()
        let boot: BootDocument
        do {
            boot = try BootChannel.read()
        } catch {
            AgentLog()(.error, "no boot document: \(error)")
            return 78
        }
        let log = AgentLog(least: AgentLog.Level(boot.logLevel))
        // As PID 1 every orphan is ours anyway; elsewhere (Fly's init, a test) we ask for them.
        if getpid() != 1 { _ = clinux_set_child_subreaper(1) }
        return AgentProcess(boot: boot, firstUID: firstUID, log: log, memoryKills: memoryKills).run()
    }
}

/// The descriptors that the orchestrator hands over.
enum BootChannel {
    static let door: Int32 = 3
    static let document: Int32 = 4
    /// Where the kernel counts the processes of this machine that it ended for want of memory; not everywhere.
    static let memory: Int32 = 5

    /// `nil` where nobody handed such a descriptor over.
    static func memoryKills() -> MemoryKills? {
        clinux_set_cloexec(memory, 1) == 0 ? MemoryKills(descriptor: memory) : nil
    }

    /// Reads the document, closes its descriptor and wipes what was read.
    static func read() throws -> BootDocument {
        guard clinux_set_cloexec(document, 1) == 0 else { throw SpawnFailure(errno: EBADF, step: "descriptor \(document)") }
        defer { close(document) }
        lseek(document, 0, SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: BootDocument.maximumSize + 1)
        defer { bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { clinux_wipe(base, $0.count) } } }
        var count = 0
        while count < bytes.count {
            let read = bytes.withUnsafeMutableBytes { Glibc.read(document, $0.baseAddress.map { $0 + count }, $0.count - count) }
            if read < 0, errno == EINTR { continue }
            if read <= 0 { break }
            count += read
        }
        var text = Array(bytes.prefix(count))
        defer { text.withUnsafeMutableBytes { if let base = $0.baseAddress { clinux_wipe(base, $0.count) } } }
        return try BootDocument(decoding: text)
    }
}

extension AgentLog.Level {
    init(_ level: BootDocument.LogLevel) {
        self =
            switch level {
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            }
    }
}
