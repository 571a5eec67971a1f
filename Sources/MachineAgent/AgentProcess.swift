import Door
import Glibc
import NIOCore
import NIOPosix
import StdioBridge
import Synchronization

/// The agent's one loop, which runs on the main thread, from boot to exit.
final class AgentProcess {
    private let boot: BootDocument
    private let firstUID: uid_t
    private let log: AgentLog
    private let memoryKills: MemoryKills?
    private var egress: Egress?

    init(boot: BootDocument, firstUID: uid_t, log: AgentLog, memoryKills: MemoryKills?) {
        self.memoryKills = memoryKills
        self.boot = boot
        self.firstUID = firstUID
        self.log = log
    }

    func run() -> Int32 {
        let status = ExitBox()
        MultiThreadedEventLoopGroup.withCurrentThreadAsEventLoop { loop in
            do {
                try self.start(loop, status)
            } catch {
                self.log(.error, "not started: \(error)")
                status.end(loop, 70)
            }
        }
        return status.value
    }

    /// The way out first, where the machine has one: no child may be there when it is bound.
    private func serve(_ door: DoorServer, _ loop: any EventLoop, _ status: ExitBox) throws {
        let list = try EgressList(boot.egress)
        let isOpen = list.isEmpty ? openNames(loop) : try openEgress(list, loop)
        let this = NIOLoopBound((self, door), eventLoop: loop)
        isOpen.flatMapThrowing {
            let (process, door) = this.value
            try door.listen()
            process.log(.info, "serving machine \(process.boot.machine) boot \(process.boot.boot)")
        }.whenFailure { error in
            this.value.0.log(.error, "not started: \(error)")
            status.end(loop, 70)
        }
    }

    private func openEgress(_ list: EgressList, _ loop: any EventLoop) throws -> EventLoopFuture<Void> {
        let egress = Egress(list: list, loop: loop, log: log)
        self.egress = egress
        return try egress.open()
    }

    /// Without a way out: names that are looked up do not exist, and are told. The machine serves without that, too.
    private func openNames(_ loop: any EventLoop) -> EventLoopFuture<Void> {
        guard access(EgressProxy.relay, F_OK) == 0, let egress = try? Egress(list: EgressList([]), loop: loop, log: log) else {
            return loop.makeSucceededVoidFuture()
        }
        self.egress = egress
        let this = NIOLoopBound(self, eventLoop: loop)
        return egress.openNames().flatMapErrorThrowing { error in
            this.value.log(.warning, "names that are looked up are not told: \(error)")
        }
    }

    private func start(_ loop: any EventLoop, _ status: ExitBox) throws {
        let signals = SignalBox(loop: loop)
        let reaper = try Reaper(
            Reaper.Configuration(sweepsOrphans: true, signals: [SIGTERM, SIGINT], onSignal: { signals.arrived($0) }, memoryKills: memoryKills))
        let plans = ChildPlans(boot: boot, firstUID: firstUID)
        switch boot.transport {
        case .stdio, .http:
            let door = try DoorServer(boot: boot, plans: plans, reaper: reaper, loop: loop, log: log)
            signals.handle { [log] number in
                log(.notice, "signal \(number): ending")
                door.close { status.end(loop, 0) }
            }
            try serve(door, loop, status)
        case .job:
            let job = try Job(plans: plans, reaper: reaper, loop: loop, log: log, usesProxy: !boot.egress.isEmpty)
            signals.handle { _ in job.terminate() }
            job.run { code in status.end(loop, code) }
        }
    }
}

/// The exit status, and the end of the loop with it.
private final class ExitBox: Sendable {
    private let status = Mutex<Int32?>(nil)

    var value: Int32 { status.withLock { $0 ?? 0 } }

    func end(_ loop: any EventLoop, _ code: Int32) {
        let first = status.withLock { status in
            defer { status = status ?? code }
            return status == nil
        }
        if first { loop.shutdownGracefully { _ in } }
    }
}

/// Brings signals from the reaper's thread to the loop; a second one ends the process on the spot.
private final class SignalBox: Sendable {
    private let loop: any EventLoop
    private let handler: NIOLoopBoundBox<((Int32) -> Void)?>
    private let count = Mutex(0)

    init(loop: any EventLoop) {
        self.loop = loop
        handler = NIOLoopBoundBox(nil, eventLoop: loop)
    }

    func handle(_ body: @escaping (Int32) -> Void) { handler.value = body }

    func arrived(_ number: Int32) {
        let times = count.withLock { count in
            count += 1
            return count
        }
        if times > 1 { _exit(128 + number) }
        loop.execute { [handler] in handler.value?(number) }
    }
}
