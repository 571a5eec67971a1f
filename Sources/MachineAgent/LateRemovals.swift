import Glibc
import NIOCore
import StdioBridge

/// Removes what ended children left when their own removals could not: what lay in a folder of another that lived, and the
/// folders that hold what is another's. Looks whenever a child's own removal is over. Confined to the loop.
///
/// A uid's removal runs again only when what concerns it has changed, one at a time, and so many in a row: two of one uid
/// would kill each other, and what sessions left costs those that live little.
final class LateRemovals {
    private static let runs = 64
    private static let pause = TimeAmount.seconds(1)
    private static let patience = TimeAmount.seconds(10)

    private let plans: ChildPlans
    private let reaper: Reaper
    private let loop: any EventLoop
    private let log: AgentLog
    /// What there was when a uid's removal changed nothing.
    private var stuck: [uid_t: Int] = [:]
    /// Whose own removal failed, and may not even have ended the processes.
    private var owed: Set<uid_t> = []
    /// Of whom the log has a line.
    private var told: Set<uid_t> = []
    /// Of whom it has the other line too.
    private var cleared: Set<uid_t> = []
    /// Whose removal did not run to its end in this look: the next child's end is early enough for them.
    private var postponed: Set<uid_t> = []
    private var isRunning = false
    private var timer: Scheduled<Void>?
    private var isClosed = false
    private var whenIdle: (() -> Void)?

    init(plans: ChildPlans, reaper: Reaper, loop: any EventLoop, log: AgentLog) {
        self.plans = plans
        self.reaper = reaper
        self.loop = loop
        self.log = log
    }

    /// Its own removal has run, or has been given up, which the log has a line about.
    func childEnded(_ uid: uid_t, completely: Bool) {
        plans.ended(uid)
        if !completely {
            told.insert(uid)
            owed.insert(uid)
        }
        look()
    }

    /// Waits for the removal that runs, and starts no other.
    func close(_ completion: @escaping () -> Void) {
        isClosed = true
        timer?.cancel()
        if isRunning { whenIdle = completion } else { completion() }
    }

    private func look() {
        if isRunning || isClosed { return }
        timer?.cancel()
        postponed = []
        tryNext(of: Self.runs)
    }

    private func stop() {
        isRunning = false
        whenIdle?()
        whenIdle = nil
    }

    /// - Parameter last: whose removal has just run, and what concerned it before.
    private func tryNext(of runs: Int, after last: (uid: uid_t, digest: Int?)? = nil) {
        stop()
        if isClosed { return }
        let found = SharedFolders.left { plans.hasEnded($0) }
        if let last, let digest = last.digest, found[last.uid] == digest { stuck[last.uid] = digest }
        stuck = stuck.filter { found[$0.key] != nil }
        let wanted = owed.union(found.keys.filter { stuck[$0] != found[$0] }).subtracting(postponed)
        guard let uid = wanted.min() else { return tell(found.keys.sorted()) }
        if runs == 0 {
            let this = NIOLoopBound(self, eventLoop: loop)
            timer = loop.scheduleTask(in: Self.pause) { this.value.look() }
            return
        }
        isRunning = true
        remove(uid) { [self] status in
            if status == .code(0) || status == .code(1) {
                owed.remove(uid)
                if status == .code(0), told.contains(uid), cleared.insert(uid).inserted {
                    log(.info, "nothing is left any more of the ended session with uid \(uid)")
                }
                tryNext(of: runs - 1, after: (uid, found[uid]))
            } else {
                owed.insert(uid)
                postponed.insert(uid)
                tell([uid])
                tryNext(of: runs - 1)
            }
        }
    }

    /// Once per uid.
    private func tell(_ uids: [uid_t]) {
        for uid in uids where told.insert(uid).inserted {
            log(.warning, "files of the ended session with uid \(uid) are left in \(SharedFolders.roots.joined(separator: ", "))")
        }
    }

    private func remove(_ uid: uid_t, ended: @escaping (ExitStatus?) -> Void) {
        let this = NIOLoopBound((self, ended), eventLoop: loop)
        let timer = NIOLoopBoundBox<Scheduled<Void>?>(nil, eventLoop: loop)
        let (loop, reaper) = (loop, reaper)
        let plan = SpawnPlan(path: "/proc/self/exe", arguments: ["berth-agent", "kill", String(uid)], streams: .output(SpawnPlan.nowhere))
        reaper.spawn(plan) { result in
            loop.execute {
                switch result {
                case .success(let process):
                    timer.value = loop.scheduleTask(in: Self.patience) { reaper.signal(process.pid, SIGKILL) }
                case .failure: this.value.1(nil)
                }
            }
        } exited: { status in
            loop.execute {
                timer.value?.cancel()
                this.value.1(status)
            }
        }
    }
}
