import Hummingbird
import MachineAPI
import NIOCore
import Sealing

/// Fly's Machines API over one host: the paths, verbs and shapes of Fly's published description.
struct MachineRoutes: Sendable {
    let orchestrator: MachineService
    var store: MachineStore { orchestrator.store }

    func add(to router: Router<MachinesContext>) {
        let v1 = router.group("v1")
        v1.post("apps") { request, _ in try await createApp(request) }
        v1.get("apps") { request, _ in
            let org = request.uri.queryParameters["org_slug"].map(String.init)
            let apps = try await store.apps(org: org == "all" ? nil : org).map(AppAnswer.init)
            return JSONAnswer(AppsAnswer(total_apps: apps.count, apps: apps))
        }
        v1.get("apps/:app") { _, context in JSONAnswer(AppAnswer(try await app(context))) }
        v1.delete("apps/:app") { request, context in
            // A machine that somebody works on goes only by force, which is the gateway's (its connector is removed) and root's.
            if request.uri.queryParameters["force"] != "true" || context.caller.isToken {
                let leases = try await store.leases(app: try await app(context).name, at: WallClock.milliseconds())
                if let lease = leases.first { throw MachineFailure.leased(lease) }
            }
            try await orchestrator.reconciler.delete(app: try await app(context).name)
            return Response(status: .accepted)
        }
        v1.post("apps/:app/machines") { request, context in try await create(request, context) }
        v1.get("apps/:app/machines") { request, context in try await list(request, app: try await app(context).name, org: nil) }
        v1.get("orgs/:org/machines") { request, context in
            let machines = try await list(request, app: nil, org: try context.parameters.require("org"))
            return JSONAnswer(MachinesPage(machines: machines.value))
        }
        v1.get("apps/:app/machines/:id") { _, context in
            let machine = try await machine(context)
            return JSONAnswer(try await answer(machine))
        }
        v1.delete("apps/:app/machines/:id") { request, context in try await destroy(request, context) }
        addVerbs(to: v1)
        addChanges(to: v1)
        addMetadata(to: v1)
        addLeases(to: v1)
        addExec(to: v1)
        v1.get("platform/regions") { _, _ in JSONAnswer(RegionsAnswer()) }
        refuseOthers(v1)
    }

    // MARK: Apps

    private func createApp(_ request: Request) async throws -> JSONAnswer<AppAnswer> {
        let wanted = try CreateAppRequest(try await body(of: request))
        let app = try await orchestrator.createApp(wanted)
        return JSONAnswer(AppAnswer(app), status: .created)
    }

    /// The app of the path.
    func app(_ context: MachinesContext) async throws -> AppRecord {
        let name = try context.parameters.require("app")
        guard let app = try await store.app(name) else { throw MachineFailure.unknownApp(name) }
        return app
    }

    // MARK: Machines

    private func create(_ request: Request, _ context: MachinesContext) async throws -> JSONAnswer<Machine> {
        let app = try await app(context)
        let wanted = try CreateMachineRequest(try await body(of: request))
        try wanted.checkMarks(of: context.caller)
        let record = try await orchestrator.create(wanted, in: app)
        var made = try await answer(record)
        if let seconds = wanted.leaseSeconds {
            made.nonce = try await orchestrator.lease(record.id, seconds: seconds, description: "made with it", owner: context.caller.name).nonce
        }
        return JSONAnswer(made)
    }

    private func list(_ request: Request, app: String?, org: String?) async throws -> JSONAnswer<[Machine]> {
        let query = request.uri.queryParameters
        let includesDeleted = query["include_deleted"] == "true"
        let states = Set(query[values: "state"].flatMap { $0.split(separator: ",") }.map(String.init))
        let metadata = query.filter { $0.key.hasPrefix("metadata.") }.map { (String($0.key.dropFirst(9)), String($0.value)) }
        let machines = try await store.machines(app: app, org: org, includesDestroyed: includesDeleted).filter { machine in
            (states.isEmpty || states.contains(machine.state.rawValue))
                && metadata.allSatisfy { machine.config.metadata?[$0.0] == $0.1 }
        }
        return JSONAnswer(machines.map { $0.answer(events: nil, isolation: orchestrator.isolation) })
    }

    private func destroy(_ request: Request, _ context: MachinesContext) async throws -> JSONAnswer<OK> {
        let machine = try await changeable(request, context)
        let query = request.uri.queryParameters
        let isForced = query["force"] == "true" || query["kill"] == "true"
        guard isForced || [.stopped, .suspended, .failed, .created].contains(machine.state) else {
            throw MachineFailure(
                .preconditionFailed, "failed_precondition",
                "failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created", hint: "force=true")
        }
        try await orchestrator.reconciler.destroy(machine.id)
        return JSONAnswer(OK())
    }

    /// The machine of the path; a destroyed one stays readable for a while.
    func machine(_ context: MachinesContext, isReading: Bool = true) async throws -> MachineRecord {
        let id = try context.parameters.require("id")
        let app = try context.parameters.require("app")
        guard let machine = try await store.machine(id, app: app), isReading || machine.state != .destroyed else {
            throw MachineFailure.unknownMachine(id)
        }
        return machine
    }

    func answer(_ machine: MachineRecord) async throws -> Machine {
        machine.answer(events: try await store.events(of: machine.id, limit: 20), isolation: orchestrator.isolation)
    }

    func body(of request: Request) async throws -> [UInt8] {
        Array(buffer: try await request.body.collect(upTo: MachinesDelegate.bodyLimit))
    }

    // MARK: What is not here

    /// Paths of Fly's that clients may try: a plain word instead of "not found".
    private func refuseOthers(_ v1: RouterGroup<MachinesContext>) {
        let machine = "apps/:app/machines/:id"
        v1.post("\(machine)/memory/reclaim") { _, _ -> Response in throw Self.notImplemented("memory/reclaim") }
        v1.get("\(machine)/memory") { _, _ -> Response in throw Self.notImplemented("memory") }
        v1.put("\(machine)/memory") { _, _ -> Response in throw Self.notImplemented("memory") }
        for list in ["volumes", "secrets", "certificates", "ip_assignments", "network_policies"] {
            v1.get("apps/:app/\(list)") { _, _ -> Response in throw Self.notImplemented(list) }
            v1.post("apps/:app/\(list)") { _, _ -> Response in throw Self.notImplemented(list) }
        }
    }

    private static func notImplemented(_ part: String) -> MachineFailure {
        MachineFailure(.notImplemented, "not_implemented", "\(part) of the Machines API is not here", details: ["part": part])
    }
}

private struct MachinesPage: Encodable, Sendable {
    var machines: [Machine]
    var error_regions: [String] = []
}

private struct RegionsAnswer: Encodable, Sendable {
    struct Region: Encodable, Sendable {
        var code = "local"
        var name = "this host"
    }
    var nearest = "local"
    var regions = [Region()]
}
