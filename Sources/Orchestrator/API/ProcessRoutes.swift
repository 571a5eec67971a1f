import Door
import Hummingbird
import MachineAPI

/// How the processes of a machine's server fare, as its agent tells: `GET …/machines/ID/berth/processes`.
struct ProcessRoutes: Sendable {
    let orchestrator: MachineService

    func add(to router: Router<MachinesContext>) {
        let routes = MachineRoutes(orchestrator: orchestrator)
        router.group("v1").get("apps/:app/machines/:id/berth/processes") { _, context in
            let machine = try await routes.machine(context)
            let host = orchestrator.reconciler.host
            // A machine that stands still would not answer, and one that is not there has none.
            guard machine.state == .started, let boot = machine.boot, let door = boot.door else { return JSONAnswer(ServerProcesses()) }
            let (keys, org) = try await host.keys(machine, boot)
            guard let processes = await host.probe.processes("unix:\(door)", keys: keys, org: org) else {
                throw MachineFailure(.unavailable, "silent", "the machine's agent does not tell of its processes", hint: "berth machines events")
            }
            return JSONAnswer(processes)
        }
    }
}

/// What an agent tells of the processes behind its door.
struct ServerProcesses: Codable, Sendable, Equatable {
    struct Process: Codable, Sendable, Equatable {
        /// `ready`, `crashed` (it ended by itself, or did not start, and nobody has called since), or a step between.
        var state: String
        /// How often it was started, this time included.
        var starts: Int?
    }

    var processes: [Process] = []
    /// Why the last one that ended by itself did.
    var last_failure: String?
}
