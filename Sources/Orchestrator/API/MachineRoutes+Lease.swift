import HTTPTypes
import Hummingbird
import MachineAPI
import Sealing

extension MachineRoutes {
    func addLeases(to v1: RouterGroup<MachinesContext>) {
        let path = "apps/:app/machines/:id/lease"
        v1.get("\(path)") { request, context in
            let machine = try await machine(context)
            guard let lease = try await store.lease(of: machine.id, at: WallClock.milliseconds()) else { throw Self.noLease(machine.id) }
            // The nonce is its holder's, who knows it.
            let isHolder = Self.nonce(of: request).map { lease.isHeld(by: $0) } ?? false
            return JSONAnswer(LeaseAnswer(lease, version: machine.instance, isHolder: isHolder))
        }
        v1.post("\(path)") { request, context in
            let machine = try await machine(context, isReading: false)
            let wanted = try LeaseRequest(
                body: try await body(of: request), ttl: request.uri.queryParameters["ttl"].map(String.init))
            let lease = try await orchestrator.lease(
                machine.id, seconds: wanted.seconds, description: wanted.description, owner: context.caller.name, nonce: Self.nonce(of: request))
            return JSONAnswer(LeaseAnswer(lease, version: machine.instance, isHolder: true), status: .created)
        }
        v1.delete("\(path)") { request, context in
            let machine = try await machine(context)
            let isForced = request.uri.queryParameters["force"] == "true"
            if isForced { try context.requireRoot() }
            guard let nonce = Self.nonce(of: request) ?? (isForced ? "" : nil) else {
                throw MachineFailure(
                    .badRequest, "invalid", "the lease's nonce is missing", field: Self.nonceName, hint: "as the answer of POST …/lease has it")
            }
            guard try await store.releaseLease(of: machine.id, nonce: isForced ? nil : nonce, at: WallClock.milliseconds()) else {
                throw Self.noLease(machine.id)
            }
            return JSONAnswer(OK())
        }
    }

    /// A machine of the path that this request may change: who does not hold its lease waits.
    func changeable(_ request: Request, _ context: MachinesContext) async throws -> MachineRecord {
        let machine = try await machine(context, isReading: false)
        let lease = try await store.lease(of: machine.id, at: WallClock.milliseconds())
        switch (lease, Self.nonce(of: request)) {
        case (nil, nil): return machine
        case (let lease?, let nonce?) where lease.isHeld(by: nonce): return machine
        case (let lease?, _): throw MachineFailure.leased(lease)
        case (nil, _?):
            // Its lease ran out: others may have changed the machine since.
            throw MachineFailure(
                .conflict, "lease_expired", "aborted: machine ID \(machine.id) lease is not held any more", field: Self.nonceName,
                hint: "read the machine, and lease it anew")
        }
    }

    static let nonceName = "fly-machine-lease-nonce"

    static func nonce(of request: Request) -> String? {
        HTTPField.Name(nonceName).flatMap { request.headers[$0] }.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func noLease(_ id: String) -> MachineFailure {
        MachineFailure(.notFound, "not_found", "machine \(id) is not leased", field: "lease")
    }
}

extension MachinesCaller {
    /// Whose a lease is.
    var name: String {
        switch self {
        case .root: "root"
        case .gateway: "gateway"
        case .organisation: "organisation"
        case .executor: "organisation (exec)"
        }
    }
}

/// In an envelope, as Fly's clients read it.
private struct LeaseAnswer: Encodable, Sendable {
    struct Lease: Encodable, Sendable {
        var nonce: String?
        /// Seconds since 1970.
        var expires_at: Int64
        var owner: String
        var description: String
        var version: String
    }
    var status = "success"
    var data: Lease

    init(_ lease: LeaseRecord, version: String, isHolder: Bool) {
        data = Lease(
            nonce: isHolder ? lease.nonce : nil, expires_at: lease.expiresAt / 1_000, owner: lease.owner, description: lease.description,
            version: version)
    }
}
