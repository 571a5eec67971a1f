import Glibc
import NIOCore
import NIOPosix
import StdioBridge

/// Runs the boot document's command once, to its end: an image build. Its output is ours; its exit code becomes ours.
final class Job {
    private let plan: SpawnPlan
    private let reaper: Reaper
    private let loop: any EventLoop
    private let log: AgentLog
    private let usesProxy: Bool
    private var pid: pid_t?
    private var terminated = false
    private var proxy: (any Channel)?

    init(plans: ChildPlans, reaper: Reaper, loop: any EventLoop, log: AgentLog, usesProxy: Bool) throws {
        self.reaper = reaper
        self.loop = loop
        self.log = log
        self.usesProxy = usesProxy
        plan = try plans.plan(credentials: nil, streams: .output(2)).get()
    }

    func run(_ ended: @escaping (Int32) -> Void) {
        guard usesProxy else { return start(ended) }
        let this = NIOLoopBound((self, ended), eventLoop: loop)
        EgressProxy.listen(loop: loop).whenComplete { result in
            let (job, ended) = this.value
            switch result {
            case .success(let channel):
                job.proxy = channel
                job.start(ended)
            case .failure(let error):
                job.log(.error, "egress proxy: \(error)")
                ended(70)
            }
        }
    }

    /// TERM now, KILL after two seconds.
    func terminate() {
        terminated = true
        guard let pid else { return }
        reaper.signal(pid, SIGTERM)
        loop.scheduleTask(in: .seconds(2)) { [reaper] in reaper.signal(pid, SIGKILL) }
    }

    private func start(_ ended: @escaping (Int32) -> Void) {
        let this = NIOLoopBound((self, ended), eventLoop: loop)
        let loop = loop
        reaper.spawn(plan) { result in
            loop.execute {
                let (job, ended) = this.value
                switch result {
                case .success(let process):
                    job.pid = process.pid
                    if job.terminated { job.terminate() }
                case .failure(let failure):
                    job.log(.error, "job not started: \(failure)")
                    ended(126)
                }
            }
        } exited: { status in
            loop.execute {
                let (job, ended) = this.value
                job.cleanUp {
                    switch status {
                    case .code(let code): ended(code)
                    case .signal(let number): ended(128 + number)
                    case .outOfMemory: ended(128 + SIGKILL)
                    }
                }
            }
        }
    }

    private func cleanUp(_ done: @escaping () -> Void) {
        proxy?.close(promise: nil)
        guard let afterwards = plan.afterwards else { return done() }
        let this = NIOLoopBound((self, done), eventLoop: loop)
        let loop = loop
        reaper.spawn(SpawnPlan(path: afterwards.path, arguments: afterwards.arguments, streams: .output(2))) { result in
            if case .failure = result { loop.execute { this.value.1() } }
        } exited: { status in
            loop.execute {
                let (job, done) = this.value
                if status != .code(0) { job.log(.error, "clean-up after the job failed: \(status)") }
                done()
            }
        }
    }
}
