import ArgumentParser
import AuthorCommands
import CLinux
import Glibc
import JSONText

/// `berth supervise`: holds the state's lock, runs the orchestrator and the gateway, and starts either again when it ends.
///
/// A small synchronous process: one thread, `poll` over pidfds and pipes. The two processes hold the read end of a pipe
/// as standard input; when this process ends, however, they see its end and stop. Machines live on.
struct Supervise: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "supervise", shouldDisplay: false)

    @OptionGroup var settings: UpSettings

    func run() throws {
        let readiness = Readiness()
        let installation = try settings.state.installation()
        clinux_set_name("berth-supervise")
        do {
            let lock = try StateLock.take(installation.lock)
            defer { lock.release() }
            try Layout.prepare(installation)
            var loop = try SupervisorLoop(installation: installation, settings: settings, readiness: readiness)
            try loop.run()
        } catch {
            readiness.say(Failure(of: error).line)
            throw error
        }
    }
}

/// The lock of a state directory: an exclusive `flock`, held for the life of the process.
struct StateLock {
    private let descriptor: Int32

    static func take(_ path: String) throws -> StateLock {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure("the state directory cannot be written: \(String(cString: strerror(errno)))", hint: "choose another with --state")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw Failure("another Berth runs with this state", hint: "berth status, or another --state")
        }
        ftruncate(descriptor, 0)
        let text = "\(getpid())\n"
        _ = text.withCString { write(descriptor, $0, strlen($0)) }
        return StateLock(descriptor: descriptor)
    }

    /// The pid that holds the lock; nil when nobody does.
    static func holder(_ path: String) -> pid_t? {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return nil }
        return readFile(path).flatMap { pid_t(String(decoding: $0, as: UTF8.self).filter(\.isNumber)) }
    }

    func release() { close(descriptor) }
}
