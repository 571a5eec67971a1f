import AuthorCommands
import CLinux
import Glibc
import JSONText

/// Runs the two processes until told to stop. Writes one line to descriptor 3 (where `berth up` waits) when both are
/// ready for the first time, or why they are not.
struct SupervisorLoop {
    private let installation: Installation
    private let settings: UpSettings
    private let readiness: Readiness
    private var children: [SupervisedProcess]
    private var wakeRead: Int32 = -1
    private var reported = false

    init(installation: Installation, settings: UpSettings, readiness: Readiness) throws {
        self.installation = installation
        self.settings = settings
        self.readiness = readiness
        children = [
            SupervisedProcess(name: "orchestrator", arguments: try settings.orchestratorArguments(installation)),
            SupervisedProcess(name: "gateway", arguments: try settings.gatewayArguments(installation)),
        ]
    }

    mutating func run() throws {
        let signals = [SIGTERM, SIGINT, SIGHUP]
        wakeRead = clinux_signal_pipe(signals, Int32(signals.count))
        guard wakeRead >= 0 else { throw Failure("no signals: \(String(cString: strerror(-wakeRead)))") }
        defer { stopAll() }

        while true {
            for index in children.indices {
                let isItsTurn = mayStart(index)
                children[index].startIfDue(previousReady: isItsTurn)
            }
            if !reported && children.allSatisfy(\.isReady) { report("ready") }
            if try waitForEvent() { return }
        }
    }

    /// The gateway starts when the orchestrator is ready.
    private func mayStart(_ index: Int) -> Bool { index == 0 || children[index - 1].isReady }

    /// - Returns: true when a signal asked to stop.
    private mutating func waitForEvent() throws -> Bool {
        var polls = [pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0)]
        for child in children {
            polls.append(pollfd(fd: child.pidfd, events: Int16(POLLIN), revents: 0))
            polls.append(pollfd(fd: child.output, events: Int16(POLLIN), revents: 0))
        }
        // One that waits for the one before it is woken by that one's output, not by the clock.
        let timeout = children.indices.filter { mayStart($0) }.compactMap { children[$0].millisecondsToStart }.min() ?? -1
        guard poll(&polls, nfds_t(polls.count), Int32(timeout)) >= 0 || errno == EINTR else {
            throw Failure("poll: \(String(cString: strerror(errno)))")
        }
        if polls[0].revents != 0 { return true }
        for index in children.indices {
            if polls[2 + 2 * index].revents != 0 { children[index].readOutput() }
            guard polls[1 + 2 * index].revents != 0, let ending = children[index].reap() else { continue }
            Output.error("supervisor: \(children[index].name) ended (\(ending)); starting it again")
            if !reported && children[index].failures >= 3 {
                report(children[index].lastLine ?? "the \(children[index].name) ended with \(ending)")
                return true
            }
        }
        return false
    }

    private mutating func report(_ line: String) {
        reported = true
        readiness.say(line)
    }

    /// The gateway first, so that no call meets a missing orchestrator.
    private mutating func stopAll() {
        for index in children.indices.reversed() { children[index].stop(seconds: 15) }
        // Sockets that nobody listens at; the doors of machines that live on stay.
        for socket in [installation.controlSocket, installation.machinesSocket] { unlink(socket) }
    }
}

/// Descriptor 3, where `berth up` waits for one line.
final class Readiness {
    /// -1 once the line was said, or when nobody waits for it: from then on the number may be another file's.
    private var descriptor: Int32

    /// To be made before the process opens anything: started by hand it has no descriptor 3, and the next file would get it.
    init() {
        var info = stat()
        descriptor = fstat(3, &info) == 0 && info.st_mode & S_IFMT == S_IFIFO ? 3 : -1
        if descriptor >= 0 { _ = clinux_set_cloexec(descriptor, 1) }
    }

    func say(_ line: String) {
        guard descriptor >= 0 else { return }
        let text = line.replacing("\n", with: " ") + "\n"
        _ = text.withCString { write(descriptor, $0, strlen($0)) }
        close(descriptor)
        descriptor = -1
    }
}
