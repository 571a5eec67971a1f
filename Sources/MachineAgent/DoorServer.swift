import Door
import Glibc
import JSONText
import MCP
import NIOCore
import NIOPosix
import Sealing
import StdioBridge

/// The machine's door: what every connection to it shares. Confined to the loop.
final class DoorServer {
    let loop: any EventLoop
    let log: AgentLog
    let verifier: TokenVerifier
    let sessions: any SessionHost
    let plans: ChildPlans
    private let lateRemovals: LateRemovals
    let mode: BootDocument.Mode
    private let scope: DoorKeys.Scope
    private let owner: String?
    private var sealKeys: [String: AEADKey] = [:]
    private var listener: (any Channel)?
    private var owners = SessionOwners()
    var calls = CallLog()
    var answered = 0
    private(set) var use = DoorUse(now: .now())

    init(boot: BootDocument, plans: ChildPlans, reaper: Reaper, loop: any EventLoop, log: AgentLog) throws {
        self.loop = loop
        self.log = log
        self.plans = plans
        mode = boot.mode
        scope = boot.keys.scope
        owner = boot.owner
        verifier = try TokenVerifier(keys: boot.keys, org: boot.org)
        if let app = boot.appKeys { try verifier.accept(app) }
        sealKeys[boot.kid] = try AEADKey(boot.sealKey)

        let lateRemovals = LateRemovals(plans: plans, reaper: reaper, loop: loop, log: log)
        self.lateRemovals = lateRemovals
        switch boot.http {
        case nil: sessions = Self.children(boot, plans, reaper, loop, log, lateRemovals)
        case let place?: sessions = Self.server(at: place, boot, plans, reaper, loop, log, lateRemovals)
        }
        sessions.onGone = { [weak self] key in
            guard let self else { return }
            plans.vault.remove(key)
            if !sessions.sessionIDs.contains(key.id) { owners.forget(key.id) }
        }
    }

    /// A child per session and credentials, over STDIO.
    private static func children(
        _ boot: BootDocument, _ plans: ChildPlans, _ reaper: Reaper, _ loop: any EventLoop, _ log: AgentLog, _ lateRemovals: LateRemovals
    ) -> any SessionHost {
        var limits = BridgeLimits()
        limits.children = boot.childLimits.maximumChildren
        limits.idle = .seconds(Int64(boot.childLimits.idleSeconds))
        limits.start = .seconds(Int64(boot.startTimeoutSeconds))
        limits.sharing = boot.mode == .session ? .session : .shared
        limits.era =
            switch boot.era {
            case .auto: .auto
            case .legacy: .legacy
            case .modern: .modern
            }
        // What all sessions share is one child: nobody would come for another.
        limits.spare = boot.childLimits.spareBelowBytes > 0 && boot.mode == .session
        let sessions = Sessions(
            eventLoop: loop, reaper: reaper, limits: limits, plan: { plans.plan(for: $0) }, log: { log(.info, $0) },
            cleanedUp: { lateRemovals.childEnded($0.id, completely: $1) })
        sessions.hasMemory = { [limit = boot.childLimits.spareBelowBytes] more in ChildMemory(of: plans.uids).fits(limit, with: more) }
        return sessions
    }

    /// One server that speaks HTTP, for all sessions.
    private static func server(
        at place: BootDocument.HTTPPlace, _ boot: BootDocument, _ plans: ChildPlans, _ reaper: Reaper, _ loop: any EventLoop, _ log: AgentLog,
        _ lateRemovals: LateRemovals
    ) -> any SessionHost {
        var life = ServerStateMachine.Limits()
        life.start = .seconds(Int64(boot.startTimeoutSeconds))
        let hosted = HostedServer(
            place: ServerPlace(port: place.port, path: place.path), limits: life, loop: loop, reaper: reaper, plan: { plans.plan(for: $0) },
            log: { log(.info, $0) })
        var limits = HTTPSessions.Limits()
        limits.idle = .seconds(Int64(boot.childLimits.idleSeconds))
        limits.speaksHandshake = boot.era == .legacy
        let sessions = HTTPSessions(hosted: hosted, limits: limits)
        sessions.onCleanedUp = { lateRemovals.childEnded($0.id, completely: $1) }
        return sessions
    }

    /// Serves the listening socket of descriptor 3.
    func listen() throws {
        guard Glibc.listen(BootChannel.door, 1024) == 0 else { throw SpawnFailure(errno: errno, step: "listen on descriptor 3") }
        let this = NIOLoopBound(self, eventLoop: loop)
        ServerBootstrap(group: loop)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DoorConnection(server: this.value, channel: channel))
                }
            }
            .withBoundSocket(BootChannel.door)
            .whenComplete { result in
                switch result {
                case .success(let channel): this.value.listener = channel
                case .failure(let error): this.value.log(.error, "door: \(error)")
                }
            }
    }

    /// Ends listener and children; calls in flight end with them.
    func close(_ completion: @escaping () -> Void) {
        listener?.close(promise: nil)
        sessions.shutdown { [lateRemovals] in lateRemovals.close(completion) }
    }

    // MARK: Use

    func callBegan() { use.begin() }
    func callEnded() { use.end(now: .now()) }

    /// Whoever asked for it ends the machine within a minute, or is not to be reckoned with: then it serves on.
    func closeForNow() { use.close(now: .now()) }

    var takesNoCalls: Bool { sessions.isDraining || use.isClosed(now: .now()) }

    /// Milliseconds for which nobody has used the machine; nil while somebody does.
    var idleMilliseconds: Int? { use.idle(now: .now(), isWaiting: sessions.busy > 0)?.milliseconds }

    // MARK: Sessions and credentials

    /// The key of a session's child, or `nil` when the session, or the machine, is another principal's.
    func key(_ claims: HostedToken.Claims, fingerprint: String) -> SessionKey? {
        if let owner, claims.principal != owner { return nil }
        if mode == .shared { return SessionKey(id: "shared:" + fingerprint, fingerprint: fingerprint) }
        guard owners.admit(claims.session, of: claims.principal, living: { sessions.sessionIDs }) else { return nil }
        return SessionKey(id: claims.session, fingerprint: fingerprint, owner: claims.principal)
    }

    /// Whether a child of `key` could be started. A shared child is anybody's who names its credentials.
    func holds(_ key: SessionKey, _ claims: HostedToken.Claims) -> Bool {
        plans.vault.holds(key, principal: mode == .shared ? nil : claims.principal)
    }

    func open(_ sealed: [UInt8], claims: HostedToken.Claims) -> Result<CredentialSet, DoorError> {
        var last = DoorError.malformed(field: "credentials")
        // The seal key goes with the sign key, and the token named no more than one of two generations.
        for key in sealKeys.values {
            do throws(DoorError) {
                return .success(try SealedCredentials.open(sealed, with: key, claims: claims))
            } catch {
                last = error
            }
        }
        return .failure(last)
    }

    func takeKeys(_ sealed: [UInt8], claims: HostedToken.Claims) -> Bool {
        for key in sealKeys.values {
            guard let keys = try? SealedKeys.open(sealed, with: key, claims: claims, scope: scope) else { continue }
            guard let seal = try? AEADKey(keys.seal), (try? verifier.accept(keys)) != nil else { return false }
            sealKeys[keys.kid] = seal
            // What the verifier no longer accepts must not open either.
            sealKeys = sealKeys.filter { verifier.keys(for: $0.key) != nil }
            return true
        }
        return false
    }

    // MARK: Reports

    var sessionsJSON: JSONValue {
        let list = sessions.reports().map { report -> JSONValue in
            .object(
                JSONObject([
                    ("session", .string(report.session)), ("state", .string(report.state)), ("pid", report.pid.map { .number(String($0)) } ?? .null),
                    ("era", report.era.map(JSONValue.string) ?? .null), ("calls_in_flight", .number(String(report.callsInFlight))),
                    ("starts", .number(String(report.starts))), ("idle_seconds", .number(String(report.idleSeconds))),
                    ("noise_lines", .number(String(report.noiseLines))), ("stderr_bytes", .number(String(report.stderrBytes))),
                ]))
        }
        return .object(JSONObject([("sessions", .array(list))]))
    }

    var statsJSON: JSONValue {
        let refusals = verifier.refusals.map { ($0.key.rawValue, JSONValue.number(String($0.value))) }.sorted { $0.0 < $1.0 }
        var failure = JSONValue.null
        if let last = sessions.lastFailure {
            failure = .object(
                JSONObject([
                    ("exit", last.exit.map { .number(String($0)) } ?? .null), ("signal", last.signal.map { .number(String($0)) } ?? .null),
                    ("reason", .string(last.reason)), ("stderr", .string(last.stderr)),
                ]))
        }
        var server = JSONValue.null
        if let report = sessions.server {
            server = .object(
                JSONObject([
                    ("state", .string(report.state)), ("pid", report.pid.map { .number(String($0)) } ?? .null),
                    ("era", report.era.map(JSONValue.string) ?? .null), ("starts", .number(String(report.starts))),
                    ("output_bytes", .number(String(report.stderrBytes))),
                ]))
        }
        return .object(
            JSONObject([
                ("transport", .string(sessions.server == nil ? "stdio" : "http")), ("server", server),
                ("children", .number(String(sessions.count))), ("busy", .number(String(sessions.busy))),
                ("limit", .number(String(sessions.limit))),
                ("spare", sessions.sparePID.map { .number(String($0)) } ?? .null), ("answered", .number(String(answered))),
                ("credentials", .number(String(plans.vault.count))), ("draining", .bool(takesNoCalls)),
                ("refusals", .object(JSONObject(refusals))), ("last_failure", failure),
                ("open", .number(String(use.open))), ("idle_ms", idleMilliseconds.map { .number(String($0)) } ?? .null),
            ]))
    }
}
