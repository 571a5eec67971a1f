import Door
import NIOCore

/// Tells of what was refused: in the machine's log, and those that the agent refused itself to the orchestrator, which counts.
/// One connection at a time, and no more rows than the ledger has: whoever is refused again and again costs nobody anything.
/// Confined to the loop.
final class RefusalReports {
    private let relay: String
    private let loop: any EventLoop
    private let log: AgentLog
    private var ledger = EgressLedger()
    /// Refusals that the orchestrator has not heard of, with how often.
    private var unsent: [EgressRefusal: Int] = [:]
    private var order: [EgressRefusal] = []
    private var isSending = false

    private static let pause = TimeAmount.milliseconds(100)
    private static let pauseAfterFailure = TimeAmount.seconds(2)

    init(relay: String, loop: any EventLoop, log: AgentLog) {
        self.relay = relay
        self.loop = loop
        self.log = log
    }

    func tell(_ refusal: EgressRefusal, isToldOutside: Bool = false) {
        let others = ledger.others
        if ledger.record(refusal, at: 0) { log(.warning, refusal.sentence) }
        if others == 0, ledger.others > 0 { log(.warning, "egress: further refusals are not logged") }
        guard !isToldOutside else { return }
        if let count = unsent[refusal] {
            unsent[refusal] = count + 1
        } else if unsent.count < EgressLedger.limit {
            unsent[refusal] = 1
            order.append(refusal)
        }
        schedule(Self.pause)
    }

    private func schedule(_ pause: TimeAmount) {
        guard !isSending, !order.isEmpty else { return }
        isSending = true
        let this = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: pause) { this.value.send() }
    }

    private func send() {
        guard let refusal = order.first, let count = unsent[refusal] else { return isSending = false }
        let this = NIOLoopBound(self, eventLoop: loop)
        let request = "REFUSED \(refusal.host):\(refusal.port)/\(refusal.reason.rawValue)/\(count)"
        RelayConnection.open(relay, request, on: loop).whenComplete { result in
            let reports = this.value
            reports.isSending = false
            switch result {
            case .success(let connection):
                connection.channel?.close(promise: nil)
                reports.sent(refusal, count)
                reports.schedule(.zero)
            case .failure(is RelayConnection.Refused):
                reports.sent(refusal, count)
                reports.schedule(.zero)
            // Between two orchestrators nobody listens.
            case .failure: reports.schedule(Self.pauseAfterFailure)
            }
        }
    }

    /// What came meanwhile stays.
    private func sent(_ refusal: EgressRefusal, _ count: Int) {
        order.removeFirst()
        let left = (unsent[refusal] ?? 0) - count
        unsent[refusal] = left > 0 ? left : nil
        if left > 0 { order.append(refusal) }
    }
}
