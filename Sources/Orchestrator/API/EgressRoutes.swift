import Door
import Hummingbird
import MachineAPI

/// What a machine wanted to reach and may not: `GET …/machines/ID/berth/egress`.
struct EgressRoutes: Sendable {
    let orchestrator: MachineService

    func add(to router: Router<MachinesContext>) {
        let routes = MachineRoutes(orchestrator: orchestrator)
        router.group("v1").get("apps/:app/machines/:id/berth/egress") { _, context in
            let machine = try await routes.machine(context)
            let ledger = orchestrator.reconciler.host.relays?.ledger(of: machine.id) ?? EgressLedger()
            return JSONAnswer(EgressAnswer(ledger))
        }
    }
}

private struct EgressAnswer: Encodable, Sendable {
    struct Row: Encodable, Sendable {
        var host: String
        /// 0 where only the name was asked for.
        var port: Int
        var reason: String
        var count: Int
        var last: String
        /// The option that would allow it.
        var option: String?
    }

    /// In the order in which they first came, ``EgressLedger/limit`` at most.
    var refused: [Row]
    /// Refusals beyond those.
    var others: Int

    init(_ ledger: EgressLedger) {
        others = ledger.others
        refused = ledger.rows.map { row in
            Row(
                host: row.refusal.host, port: row.refusal.port, reason: row.refusal.reason.rawValue, count: row.count,
                last: Timestamp.text(row.last), option: row.refusal.option)
        }
    }
}
