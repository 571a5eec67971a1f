import Logging
import MCP
import NIOCore
import Sealing
import Wire

/// Everything of the data path that lives on one loop.
final class LoopPath {
    let eventLoop: any EventLoop
    let settings: DataPathSettings
    let directory = DirectorySlot()
    let log: AuditLog
    let hub: SessionHub
    let stack: Stack
    let front: MCPFront
    /// For clients of 2024-11-05.
    let oldFront: SSEFront
    let origins: OriginPolicy
    let clientAddress: ClientAddress
    let hash: SHA256
    let logger: Logger
    var refusedTokens = RefusalMeter()
    var deniedAccess = RefusalMeter()
    let control = ControlExchanges()
    /// Requests that are being answered, streams among them.
    private var live: [ObjectIdentifier: PublicExchange] = [:]
    private var liveOfPrincipal: [String: Int] = [:]
    private var isShutDown = false

    init(
        eventLoop: any EventLoop, settings: DataPathSettings, support: any DataPathSupport, journal: AuditJournal, logger: Logger
    ) throws {
        self.eventLoop = eventLoop
        self.settings = settings
        self.logger = logger
        hash = try SHA256()
        origins = OriginPolicy(allowedHosts: settings.allowedHosts, allowedOrigins: settings.allowedOrigins)
        clientAddress = ClientAddress(proxies: settings.trustedProxies)
        log = AuditLog(journal: journal, logger: logger)
        let hub = SessionHub(eventLoop: eventLoop, settings: settings, support: support, log: log, logger: logger)
        self.hub = hub
        let release = Release()
        stack = try Stack(
            eventLoop: eventLoop, settings: settings, support: support, directory: directory, stateKey: support.requestStateKey(), log: log,
            logger: logger,
            released: { session, connector, address in release.run(session, connector, address) })
        front = MCPFront(service: stack.entry, host: hub)
        oldFront = SSEFront(front: front)
        release.run = { [weak self] in self?.release(session: $0, connector: $1, $2) }
        hub.onEnd = { [weak self] in self?.sessionEnded($0) }
        scheduleSweep()
    }

    /// The knot between the router, which is made first, and what it tells.
    private final class Release {
        var run: (String, String, MachineAddress) -> Void = { _, _, _ in }
    }

    // MARK: Exchanges

    /// - Returns: False when its principal has too many already.
    func add(_ exchange: PublicExchange) -> Bool {
        let principal = exchange.grant.principal
        let count = liveOfPrincipal[principal, default: 0]
        guard count < settings.exchangesPerPrincipal else { return false }
        liveOfPrincipal[principal] = count + 1
        let id = ObjectIdentifier(exchange)
        live[id] = exchange
        exchange.onEnd = { [weak self] in self?.remove(id, principal) }
        exchange.attach()
        return true
    }

    private func remove(_ id: ObjectIdentifier, _ principal: String) {
        live[id] = nil
        let left = liveOfPrincipal[principal, default: 1] - 1
        liveOfPrincipal[principal] = left > 0 ? left : nil
    }

    // MARK: What changes from outside

    /// Takes a new directory, and ends what it does not grant any more.
    func publish(_ new: Directory) {
        guard new.version >= directory.current.version else { return }
        let old = directory.current
        directory.current = new
        hub.directoryChanged()
        stack.curate.listens.toolsChanged(
            of: Set(new.virtualMCPs.values.filter { old.virtualMCPs[$0.slug]?.toolsListResult != $0.toolsListResult }.map(\.slug)))
        var tokens: [String: Grant] = [:]
        var owners: Set<SessionTable.Owner> = []
        for grant in new.grants.values {
            switch grant.scope {
            case .admin: tokens[grant.tokenID] = grant
            case .virtualMCP(let slug) where new.virtualMCPs[slug] != nil:
                tokens[grant.tokenID] = grant
                owners.insert(.init(principal: grant.principal, slug: slug))
            case .virtualMCP: continue
            }
        }
        end(grants: { tokens[$0.tokenID] != $0 }, owners: { !owners.contains($0) })
    }

    /// Ends calls and streams whose grant `isGone`, and sessions whose owner is.
    func end(grants isGone: (Grant) -> Bool, owners ownerIsGone: (SessionTable.Owner) -> Bool = { _ in false }) {
        // The calls first: each gets its row and an answer that says why.
        stack.audit.end { isGone($0.grant) }
        for exchange in live.values where isGone(exchange.grant) { exchange.revoke() }
        control.revoke(isGone)
        hub.end(where: ownerIsGone)
    }

    func forget(connector: String) {
        stack.credentials.forget(connector: connector)
        stack.router.forget(connector: connector)
    }

    /// Ends what never ends by itself; calls under way may finish.
    func shutdown() {
        isShutDown = true
        // Before the streams: theirs are among them, and carry the answers of calls.
        oldFront.closeAll()
        front.closeAll()
    }

    // MARK: Time

    private func scheduleSweep() {
        eventLoop.assumeIsolated().scheduleTask(in: settings.sweepInterval) { [weak self] in self?.sweep() }
    }

    private func sweep() {
        guard !isShutDown else { return }
        let now = WallClock.milliseconds()
        end(grants: { !$0.isCurrent(at: now) })
        stack.hop.wakeStanding()
        hub.sweep(busy: stack.audit.busySessions.union(front.sessionsInUse))
        scheduleSweep()
    }

    // MARK: Sessions

    private func sessionEnded(_ id: String) {
        front.sessionEnded(id)
        stack.router.end(session: id)
    }

    /// A session that ended had a machine: its child has no reason to live on.
    private func release(session: String, connector: String, _ address: MachineAddress) {
        guard let owner = hub.owner(of: session), let app = directory.current.connectors[connector]?.app else { return }
        stack.hop.endSession(session, principal: owner.principal, at: address, app: app)
    }
}
