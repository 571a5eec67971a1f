import Hummingbird
import MachineAPI
import Sealing

extension MachineRoutes {
    /// Verbs that change a machine and not its life: update, cordon, signal; and what it was and has.
    func addChanges(to v1: RouterGroup<MachinesContext>) {
        let path = "apps/:app/machines/:id"
        v1.post("\(path)") { request, context in
            let machine = try await changeable(request, context)
            let wanted = try CreateMachineRequest(try await body(of: request), isUpdate: true)
            try wanted.checkMarks(of: context.caller, before: machine.config.metadata ?? [:])
            return JSONAnswer(try await answer(try await orchestrator.update(machine, wanted)))
        }
        for (verb, isCordoned) in [("cordon", true), ("uncordon", false)] {
            v1.post("\(path)/\(verb)") { request, context in
                try BodyKeys.nothing.check(in: try await body(of: request))
                let machine = try await changeable(request, context)
                try await orchestrator.reconciler.change(machine.id) { record in
                    guard record.isCordoned != isCordoned else { return nil }
                    record.isCordoned = isCordoned
                    return .note(type: verb, source: "user")
                }
                return JSONAnswer(OK())
            }
        }
        v1.post("\(path)/signal") { request, context in
            let wanted = try SignalRequest(try await body(of: request))
            try await orchestrator.signal(try await changeable(request, context), wanted.number)
            return JSONAnswer(OK())
        }
        v1.get("\(path)/versions") { _, context in
            let machine = try await machine(context)
            return JSONAnswer(try await store.versions(of: machine.id).map { VersionAnswer(version: $0.instance, user_config: $0.config) })
        }
        v1.get("\(path)/ps") { request, context in
            let machine = try await machine(context)
            guard let boot = machine.boot else {
                throw MachineFailure(
                    .preconditionFailed, "failed_precondition",
                    "failed_precondition: machine \(machine.id) is \(machine.state.rawValue) and has no processes")
            }
            let query = request.uri.queryParameters
            let order = try ProcessOrder(sortBy: query["sort_by"].map(String.init), order: query["order"].map(String.init))
            return JSONAnswer(order.sorted(try await orchestrator.reconciler.host.runtime.processes(machine.id, boot: boot.boot)))
        }
    }
}

private struct VersionAnswer: Encodable, Sendable {
    var version: String
    var user_config: MachineConfig
}

/// `sort_by` and `order` of `ps`.
struct ProcessOrder: Sendable, Equatable {
    private var key = "pid"
    private var descends = false

    init(sortBy: String?, order: String?) throws(MachineFailure) {
        if let sortBy, !sortBy.isEmpty {
            guard ["pid", "command", "cpu", "rss", "rtime", "stime"].contains(sortBy) else {
                throw MachineFailure(.badRequest, "invalid", "nothing is sorted by \(sortBy.prefix(32))", field: "sort_by", hint: "pid, cpu or rss")
            }
            key = sortBy
        }
        if let order, !order.isEmpty {
            guard ["asc", "desc"].contains(order) else {
                throw MachineFailure(.badRequest, "invalid", "order is asc or desc", field: "order", hint: "asc")
            }
            descends = order == "desc"
        }
    }

    func sorted(_ processes: [MachineProcess]) -> [MachineProcess] {
        let ascending = processes.sorted { first, second in
            switch key {
            case "command": first.command < second.command
            case "cpu": first.cpu < second.cpu
            case "rss": first.rss < second.rss
            case "rtime": first.rtime < second.rtime
            case "stime": first.stime < second.stime
            default: first.pid < second.pid
            }
        }
        return descends ? ascending.reversed() : ascending
    }
}
