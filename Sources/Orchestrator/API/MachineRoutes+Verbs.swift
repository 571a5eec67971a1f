import Hummingbird
import MachineAPI
import Sealing

extension MachineRoutes {
    func addVerbs(to v1: RouterGroup<MachinesContext>) {
        let path = "apps/:app/machines/:id"
        v1.post("\(path)/start") { request, context in
            let machine = try await changeable(request, context)
            try await perform(.start(source: "user"), on: machine)
            return JSONAnswer(StartAnswer(previous_state: machine.state.rawValue))
        }
        v1.post("\(path)/stop") { request, context in
            let wanted = try StopRequest(body: try await body(of: request))
            try await perform(.stop(source: "user", seconds: wanted.seconds), on: try await changeable(request, context))
            return JSONAnswer(OK())
        }
        v1.post("\(path)/suspend") { request, context in
            try BodyKeys.nothing.check(in: try await body(of: request))
            let machine = try await changeable(request, context)
            guard [.started, .suspending, .suspended].contains(machine.state) else {
                throw MachineFailure(
                    .preconditionFailed, "failed_precondition",
                    "failed_precondition: unable to suspend machine from current state: '\(machine.state.rawValue)'", hint: "start it first")
            }
            try await perform(.suspend(source: "user"), on: machine)
            return JSONAnswer(OK())
        }
        v1.post("\(path)/restart") { request, context in
            let wanted = try StopRequest(timeout: request.uri.queryParameters["timeout"].map(String.init))
            try await perform(.restart(source: "user", seconds: wanted.seconds), on: try await changeable(request, context))
            return JSONAnswer(OK())
        }
        v1.get("\(path)/wait") { request, context in try await wait(request, context) }
        v1.get("\(path)/events") { request, context in
            let machine = try await machine(context)
            let limit = request.uri.queryParameters["limit"].flatMap { Int($0) } ?? 50
            return JSONAnswer(try await store.events(of: machine.id, limit: min(max(limit, 1), MachineStore.eventLimit)))
        }
    }

    private func perform(_ input: MachineStateMachine.Input, on machine: MachineRecord) async throws {
        if case .stop = input {
        } else if await orchestrator.reconciler.isGoingDown {
            throw MachineFailure.goingDown
        }
        guard machine.state != .destroying else {
            throw MachineFailure(
                .preconditionFailed, "failed_precondition", "failed_precondition: unable to do that in the current state: 'destroying'")
        }
        try await orchestrator.reconciler.send(input, to: machine.id)
    }

    // MARK: Wait

    private func wait(_ request: Request, _ context: MachinesContext) async throws -> JSONAnswer<WaitAnswer> {
        let query = request.uri.queryParameters
        let target = try WaitTarget(query[values: "state"].map(String.init))
        let seconds = min(max(query["timeout"].flatMap { Int($0.hasSuffix("s") ? $0.dropLast() : $0) } ?? 60, 1), 60)
        let id = try context.parameters.require("id")
        // Listening begins before looking: no change can fall between.
        let changes = orchestrator.reconciler.host.hub.changes(of: id)
        let machine = try await machine(context)
        if let version = query["version"] ?? query["instance_id"], !version.isEmpty, version != machine.instance {
            // Fly's client knows these words, and asks for the new version.
            let isOld = try await store.versions(of: id).contains { $0.instance == version }
            let told = isOld ? "machine \(id) version \(version.prefix(40)) is currently replaced by \(machine.instance)" : nil
            throw MachineFailure(
                .badRequest, isOld ? "replaced" : "wrong_version",
                told ?? "machine \(id) has the version \(machine.instance), not \(version.prefix(40))", field: "version")
        }
        var last = machine
        // Who knows of the last event wants what comes after it: a state that holds since then is none.
        let known = query["from_event_id"].map(String.init)
        let newest = try await store.events(of: id, limit: 1).first?.id
        let isOldNews = known != nil && known == newest
        if isOldNews || target.verdict(on: machine) == .pending {
            if machine.state == .starting, target.waitsForStart { try? await orchestrator.reconciler.send(.awaited, to: id) }
            let found = await Reconciler.first(in: changes, within: .seconds(seconds)) { target.verdict(on: $0) != .pending }
            try Task.checkCancellation()
            guard let found else {
                throw MachineFailure(
                    .timeout, "timeout", "machine \(id) did not reach \(target) within \(seconds) s", hint: "wait again",
                    details: ["state": try await store.machine(id)?.state.rawValue ?? "destroyed"])
            }
            last = found
        }
        let event = try await store.events(of: id, limit: 1).first?.id
        guard target.verdict(on: last) == .reached else {
            var details = ["state": last.state.rawValue]
            details["reason"] = last.reason
            details["event_id"] = event
            throw MachineFailure(
                .badRequest, "unreachable_state", "machine failed to reach desired state: it is \(last.state.rawValue)"
                    + (last.reason.map { ", \($0)" } ?? ""), details: details)
        }
        return JSONAnswer(WaitAnswer(state: last.state.rawValue, version: last.instance, event_id: event))
    }
}

/// Which states a caller waits for.
struct WaitTarget: Sendable, Equatable, CustomStringConvertible {
    enum Verdict: Sendable, Equatable { case reached, pending, impossible }

    private var states: Set<MachineState> = []
    private var acceptsSettled = false

    /// - Parameter values: of the query's `state`, each a state or several with commas between; none means `started`.
    init(_ values: [String]) throws(MachineFailure) {
        let names = values.flatMap { $0.split(separator: ",") }
        for name in names.isEmpty ? ["started"] : names {
            if name == "settled" {
                acceptsSettled = true
            } else if let state = MachineState(rawValue: String(name)), [.started, .stopped, .suspended, .destroyed, .failed].contains(state) {
                states.insert(state)
            } else {
                throw MachineFailure(
                    .badRequest, "invalid", "nobody can wait for \(name.prefix(32))", field: "state",
                    hint: "started, stopped, suspended, destroyed, failed or settled")
            }
        }
    }

    var description: String {
        (states.map(\.rawValue).sorted() + (acceptsSettled ? ["settled"] : [])).joined(separator: " or ")
    }

    /// Whether who waits is in want of the machine.
    var waitsForStart: Bool { states.contains(.started) }

    func verdict(on machine: MachineRecord) -> Verdict {
        if states.contains(machine.state) || acceptsSettled && !machine.state.isTransient { return .reached }
        switch machine.state {
        case .destroyed:
            return .impossible
        case .stopped, .failed, .created, .suspended:
            // It runs again when somebody says so; who waits for that learns at once that nobody did.
            let waitsForRunning = states.subtracting([.started, .suspended]).isEmpty
            return machine.desired != .running && waitsForRunning ? .impossible : .pending
        case .starting, .started, .stopping, .suspending, .replacing, .destroying:
            return .pending
        }
    }
}
