import CLinux
import Glibc
import Synchronization

/// The parent's ends of a started process. The receiver owns the descriptors.
public struct SpawnedProcess: Sendable {
    public var pid: pid_t
    /// -1 for a process without pipes.
    public var stdin: Int32
    public var stdout: Int32
    public var stderr: Int32
}

/// The one thread that starts, signals and reaps every process of ours.
///
/// One thread instead of a lock, so that a sweep never meets a child that is not in the table yet. It lives as long as the
/// process, because the death of a *thread* is what `PR_SET_PDEATHSIG` reports to the children it started. pidfds are
/// polled here since one given to NIO's epoll loop kills the process.
public final class Reaper: Sendable {
    /// How the thread learns of signals and of orphans.
    public struct Configuration: Sendable {
        /// Reaps what is in no table (descendants re-parented to us). Only where nothing else in the process waits for
        /// children: as PID 1 or as a subreaper.
        public var sweepsOrphans: Bool
        /// Signals to handle beside SIGCHLD, with what to do about them; called on the reaper's thread.
        public var signals: [Int32]
        public var onSignal: (@Sendable (Int32) -> Void)?
        /// Told what still runs a moment after a process that started it has ended, before it is killed: for whoever tests servers,
        /// since that moment holds up everything else. Needs `sweepsOrphans`.
        public var onLeftBehind: (@Sendable (_ by: pid_t, [LeftProcess]) -> Void)?
        /// Knows whom the kernel ended for want of memory; nil where nobody does.
        public var memoryKills: MemoryKills?

        public init(
            sweepsOrphans: Bool = false, signals: [Int32] = [], onSignal: (@Sendable (Int32) -> Void)? = nil,
            onLeftBehind: (@Sendable (_ by: pid_t, [LeftProcess]) -> Void)? = nil, memoryKills: MemoryKills? = nil
        ) {
            self.memoryKills = memoryKills
            self.sweepsOrphans = sweepsOrphans
            self.signals = signals
            self.onSignal = onSignal
            self.onLeftBehind = onLeftBehind
        }
    }

    enum Job {
        case spawn(
            SpawnPlan, started: @Sendable (Result<SpawnedProcess, SpawnFailure>) -> Void, exited: @Sendable (ExitStatus) -> Void)
        case signal(pid_t, Int32)
        case signalAll(Int32)
        case killOrphans(@Sendable ([LeftProcess]) -> Void)
        case stop
    }

    private let jobs = Mutex<[Job]>([])
    private let wakeReader: Int32
    private let wakeWriter: Int32
    let configuration: Configuration
    let signalReader: Int32

    public init(_ configuration: Configuration = Configuration()) throws(SpawnFailure) {
        clinux_ignore_sigpipe()
        var ends: [Int32] = [-1, -1]
        let made = clinux_pipe_cloexec(&ends)
        guard made == 0 else { throw SpawnFailure(errno: -made, step: "pipe") }
        wakeReader = ends[0]
        wakeWriter = ends[1]
        _ = clinux_set_nonblocking(wakeReader, 1)
        _ = clinux_set_nonblocking(wakeWriter, 1)
        self.configuration = configuration
        let watched = configuration.signals + (configuration.sweepsOrphans ? [SIGCHLD] : [])
        signalReader = watched.isEmpty ? -1 : clinux_signal_pipe(watched, Int32(watched.count))
        if !watched.isEmpty, signalReader < 0 { throw SpawnFailure(errno: -signalReader, step: "signal handlers") }

        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let failed = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                let reaper = Unmanaged<Reaper>.fromOpaque(context).takeRetainedValue()
                var loop = ReaperLoop(reaper)
                loop.run()
                return nil
            }, context)
        if failed != 0 {
            Unmanaged<Reaper>.fromOpaque(context).release()
            throw SpawnFailure(errno: failed, step: "thread")
        }
        pthread_detach(thread)
    }

    deinit {
        close(wakeReader)
        close(wakeWriter)
        if signalReader >= 0 { close(signalReader) }
    }

    /// Starts a process. Both callbacks run on the reaper's thread; `exited` comes once, after `started` told of success.
    public func spawn(
        _ plan: SpawnPlan, started: @escaping @Sendable (Result<SpawnedProcess, SpawnFailure>) -> Void,
        exited: @escaping @Sendable (ExitStatus) -> Void
    ) {
        submit(.spawn(plan, started: started, exited: exited))
    }

    /// Signals the process group of a process started here; nothing happens once it has been reaped.
    public func signal(_ pid: pid_t, _ number: Int32) { submit(.signal(pid, number)) }

    /// Signals the process group of every process started here that still runs.
    public func signalAll(_ number: Int32) { submit(.signalAll(number)) }

    /// Kills every descendant that was re-parented to this process and belongs to none of the running children.
    ///
    /// - Parameter done: hears on the reaper's thread what could not be ended.
    public func killOrphans(_ done: @escaping @Sendable ([LeftProcess]) -> Void) { submit(.killOrphans(done)) }

    /// The same, for who waits.
    public func killOrphans() async -> [LeftProcess] {
        await withCheckedContinuation { continuation in killOrphans { continuation.resume(returning: $0) } }
    }

    /// Ends the thread. Processes that still run are no longer reaped.
    public func stop() { submit(.stop) }

    private func submit(_ job: Job) {
        jobs.withLock { $0.append(job) }
        var byte: UInt8 = 1
        _ = write(wakeWriter, &byte, 1)
    }

    func takeJobs() -> [Job] {
        jobs.withLock { jobs in
            defer { jobs = [] }
            return jobs
        }
    }

    var wakeDescriptor: Int32 { wakeReader }
}
