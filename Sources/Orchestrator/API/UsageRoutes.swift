import Hummingbird
import MachineAPI

/// What machines use: `GET …/machines/ID/berth/usage` of one, `GET /v1/berth/usage` of all; `GET /v1/berth/memory`: how much of the
/// host's they may have together.
struct UsageRoutes: Sendable {
    let orchestrator: MachineService

    func add(to router: Router<MachinesContext>) {
        let routes = MachineRoutes(orchestrator: orchestrator)
        let v1 = router.group("v1")
        v1.get("apps/:app/machines/:id/berth/usage") { _, context in
            let machine = try await routes.machine(context)
            guard let usage = try await orchestrator.usage([machine]).first else { throw MachineFailure.unknownMachine(machine.id) }
            return JSONAnswer(usage)
        }
        v1.get("berth/memory") { _, _ in JSONAnswer(orchestrator.reconciler.host.budget.report) }
        v1.get("berth/usage") { _, _ in
            JSONAnswer(UsageAnswer(machines: try await orchestrator.usage(try await orchestrator.store.machines())))
        }
    }
}

private struct UsageAnswer: Encodable, Sendable { var machines: [MachineUsage] }
