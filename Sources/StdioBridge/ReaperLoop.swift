import CLinux
import Glibc

/// What the reaper's thread does; confined to it.
struct ReaperLoop {
    private struct Entry {
        var pidfd: Int32
        /// By us.
        var isKilled = false
        var exited: @Sendable (ExitStatus) -> Void
    }

    private let reaper: Reaper
    private var table: [pid_t: Entry] = [:]
    /// Left behind by a process that ended earlier, and told then.
    private var told: Set<pid_t> = []

    init(_ reaper: Reaper) {
        self.reaper = reaper
    }

    mutating func run() {
        _ = clinux_set_name("reaper")
        while true {
            for job in reaper.takeJobs() {
                switch job {
                case .spawn(let plan, let started, let exited): spawn(plan, started: started, exited: exited)
                case .signal(let pid, let number): signal(pid, number)
                case .signalAll(let number): for pid in table.keys { signal(pid, number) }
                case .killOrphans(let done): done(killOrphans())
                case .stop:
                    for entry in table.values { close(entry.pidfd) }
                    return
                }
            }
            wait()
        }
    }

    private mutating func signal(_ pid: pid_t, _ number: Int32) {
        guard table[pid] != nil else { return }
        if number == SIGKILL { table[pid]?.isKilled = true }
        kill(-pid, number)
    }

    private mutating func wait() {
        let pids = Array(table.keys)
        var polled = [pollfd(fd: reaper.wakeDescriptor, events: Int16(POLLIN), revents: 0)]
        polled.append(pollfd(fd: reaper.signalReader, events: Int16(POLLIN), revents: 0))
        for pid in pids { polled.append(pollfd(fd: table[pid]?.pidfd ?? -1, events: Int16(POLLIN), revents: 0)) }
        guard poll(&polled, nfds_t(polled.count), -1) > 0 else { return }

        if polled[0].revents != 0 { _ = Self.drain(reaper.wakeDescriptor) }
        for (index, pid) in pids.enumerated() where polled[index + 2].revents != 0 { reap(pid) }
        if polled[1].revents != 0 {
            let numbers = Self.drain(reaper.signalReader)
            if numbers.contains(UInt8(SIGCHLD)) { sweep() }
            for number in Set(numbers) where number != UInt8(SIGCHLD) { reaper.configuration.onSignal?(Int32(number)) }
        }
    }

    private static func drain(_ descriptor: Int32) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { return all }
            all.append(contentsOf: buffer.prefix(count))
        }
    }

    // MARK: Starting

    private mutating func spawn(
        _ plan: SpawnPlan, started: @Sendable (Result<SpawnedProcess, SpawnFailure>) -> Void,
        exited: @escaping @Sendable (ExitStatus) -> Void
    ) {
        do throws(SpawnFailure) {
            let process = try start(plan)
            let pidfd = clinux_pidfd_open(process.pid)
            guard pidfd >= 0 else {
                kill(-process.pid, SIGKILL)
                for descriptor in [process.stdin, process.stdout, process.stderr] where descriptor >= 0 { close(descriptor) }
                throw SpawnFailure(errno: -pidfd, step: "pidfd_open")
            }
            table[process.pid] = Entry(pidfd: pidfd, exited: exited)
            started(.success(process))
        } catch {
            started(.failure(error))
        }
    }

    private func start(_ plan: SpawnPlan) throws(SpawnFailure) -> SpawnedProcess {
        var pipes = SpawnPipes()
        defer { pipes.closeAll() }
        var options = clinux_spawn_options()
        options.new_session = 1
        // Whatever ends us, SIGKILL included. Not what it has started itself: that is init's then.
        options.parent_death_signal = SIGKILL
        var process = SpawnedProcess(pid: 0, stdin: -1, stdout: -1, stderr: -1)
        switch plan.streams {
        case .pipes:
            let (stdin, stdout, stderr) = (try pipes.makeInput(), try pipes.makeOutput(), try pipes.makeOutput())
            options.stdio = (stdin.child, stdout.child, stderr.child)
            (process.stdin, process.stdout, process.stderr) = (stdin.parent, stdout.parent, stderr.parent)
        case .output(let descriptor):
            options.stdio = (-1, descriptor, descriptor)
        }
        let input = plan.input == nil ? nil : try pipes.makeInput()
        process.pid = Self.spawn(plan, &options, input.map { [$0.child] } ?? [])
        guard process.pid > 0 else {
            if let directory = plan.directory, access(directory, X_OK) != 0 {
                throw SpawnFailure(errno: errno, step: "enter the directory \(directory)")
            }
            let isScript = -process.pid == ENOENT && access(plan.path, F_OK) == 0
            let interpreter = ExecutablePath.missingInterpreter(of: plan.path).map { "\($0), which" } ?? "a program that"
            throw SpawnFailure(
                errno: -process.pid, step: "spawn \(plan.path)" + (isScript ? ", whose first line (#!) names \(interpreter) is not there" : ""))
        }
        pipes.closeTheirs()
        if let input, let bytes = plan.input { Self.writeAll(bytes, to: input.parent) }
        for descriptor in [process.stdin, process.stdout, process.stderr] { _ = pipes.take(descriptor) }
        return process
    }

    private static func spawn(_ plan: SpawnPlan, _ options: inout clinux_spawn_options, _ extra: [Int32]) -> pid_t {
        withCStrings(plan.arguments) { arguments in
            withCStrings(plan.environment) { environment in
                extra.withUnsafeBufferPointer { extra in
                    options.extra = extra.baseAddress
                    options.extra_count = Int32(extra.count)
                    guard let directory = plan.directory else { return clinux_spawn(plan.path, arguments, environment, &options) }
                    return directory.withCString { directory in
                        options.directory = directory
                        return clinux_spawn(plan.path, arguments, environment, &options)
                    }
                }
            }
        }
    }

    /// Blocks at most for as long as the new process (a shim of ours) takes to read; a dead one gives EPIPE.
    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return }
                rest = rest.dropFirst(count)
            }
        }
    }

    // MARK: Ending

    private mutating func reap(_ pid: pid_t) {
        if reaper.configuration.onLeftBehind != nil { tellLeftBehind(by: pid) }
        // While the leader is a zombie its id cannot be another's: the rest of its group is killed before it is reaped.
        kill(-pid, SIGKILL)
        var code: Int32 = 0
        var signal: Int32 = 0
        let reaped = clinux_reap(pid, &code, &signal)
        guard reaped != 0, let entry = table.removeValue(forKey: pid) else { return }
        close(entry.pidfd)
        // ECHILD means that somebody else waited for it: gone, its status unknowable.
        entry.exited(reaped < 0 ? .code(-1) : reaper.status(code: code, signal: signal, isKilledByUs: entry.isKilled))
    }

    /// What the dead process at `pid` leaves has become ours; some of it only needs a moment to end too.
    private mutating func tellLeftBehind(by pid: pid_t) {
        var left: [LeftProcess] = []
        var looks = EmptyLooks()
        for _ in 0..<Self.patience {
            let (alive, dead) = ProcessTable.ownChildren()
            let seen = alive.filter { table[$0] == nil && !told.contains($0) }
            // Who has died since the last look may have forked: where they go on dying, something goes on living.
            let gone = dead.filter { table[$0] == nil }
            for orphan in gone {
                var (code, signal) = (Int32(0), Int32(0))
                _ = clinux_reap(orphan, &code, &signal)
            }
            if looks.areEnough(after: seen.isEmpty && gone.isEmpty) { return }
            if !seen.isEmpty {
                left = seen.map { LeftProcess(pid: $0, command: ProcessTable.command(of: $0)) }
            } else if left.isEmpty {
                left = gone.suffix(1).map { LeftProcess(pid: $0, command: "") }
            }
            Self.pause(10)
        }
        told.formUnion(left.map(\.pid))
        reaper.configuration.onLeftBehind?(pid, left)
    }

    /// What is ours and not in the table.
    private func orphans() -> [pid_t] { ProcessTable.ownChildren().alive.filter { table[$0] == nil } }

    private mutating func sweep() {
        guard reaper.configuration.sweepsOrphans else { return }
        while true {
            let pid = clinux_peek_dead_child()
            guard pid > 0 else { return }
            if table[pid] != nil {
                reap(pid)
            } else {
                var code: Int32 = 0
                var signal: Int32 = 0
                _ = clinux_reap(pid, &code, &signal)
            }
        }
    }

    /// Repeats until none is left, since each death may hand us its children, and one look may miss what forks just then.
    ///
    /// - Returns: what could not be ended in time: what forks faster than it is killed is for the machine's limits to end.
    private mutating func killOrphans() -> [LeftProcess] {
        guard reaper.configuration.sweepsOrphans else { return [] }
        let deadline = clinux_monotonic_milliseconds() + Self.killing
        var looks = EmptyLooks()
        while true {
            sweep()
            // The kernel's own word, which no fork can slip past: nobody is below us.
            if clinux_peek_dead_child() == -ECHILD { return [] }
            let seen = orphans()
            if looks.areEnough(after: seen.isEmpty) { return [] }
            for pid in seen { end(pid) }
            guard clinux_monotonic_milliseconds() < deadline else {
                return orphans().map { LeftProcess(pid: $0, command: ProcessTable.command(of: $0)) }
            }
            // Only what has been seen is worth a race.
            Self.pause(seen.isEmpty ? 10 : 1)
        }
    }

    /// With its group, if that is no running child's: nothing in it can fork meanwhile.
    private func end(_ pid: pid_t) {
        let group = getpgid(pid)
        if group > 1, group != getpgrp(), table[group] == nil { kill(-group, SIGKILL) }
        kill(pid, SIGKILL)
    }

    private static func pause(_ milliseconds: Int32) {
        var none = pollfd(fd: -1, events: 0, revents: 0)
        poll(&none, 1, milliseconds)
    }

    /// How many looks something that was left behind has to end by itself, 10 ms apart.
    private static let patience = 30
    /// How long orphans are killed, in milliseconds.
    private static let killing: Int64 = 3_000
}

/// Empty looks in a row. One proves nothing: what forks and ends at once may have been between two of its lives.
private struct EmptyLooks {
    private static let enough = 4
    private var count = 0

    mutating func areEnough(after isEmpty: Bool) -> Bool {
        count = isEmpty ? count + 1 : 0
        return count >= Self.enough
    }
}
