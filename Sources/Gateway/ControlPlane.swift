public import Door
public import Logging
public import MachineAPI
public import Persistence
import JSONText
import Sealing

/// The gateway's control plane: owns the rows, rebuilds the ``Directory`` after each change and hands it on, and serves
/// the data path's cold questions.
public actor ControlPlane {
    let connectors: ConnectorStore
    let tokens: TokenStore
    nonisolated let sessions: SessionStore
    nonisolated let credentialStore: CredentialStore
    nonisolated let provider: MachineProvider
    let provisioner: Provisioner
    let keyRing: KeyRing
    public nonisolated let org: String
    public nonisolated let publicURL: String
    /// The address that the gateway listens on, for people.
    nonisolated let listen: String
    let logger: Logger
    private let builder: DirectoryBuilder
    private let publish: @Sendable (Directory) -> Void
    private var version = 0
    /// Connectors with an add, update or remove under way.
    private var busy: Set<String> = []
    /// Connectors of which something half-made is left.
    private nonisolated let tidying: RetriedWork
    /// Looks after principals' own machines.
    nonisolated let keeper: MachineKeeper
    /// Changes that take effect just now, each in a task of the plane's own.
    private var changes: [Int: @Sendable () async -> Void] = [:]
    private var lastChange = 0

    /// What happens to open sessions when a token or a connector goes away.
    nonisolated let revoked: @Sendable (Revocation) -> Void

    public enum Revocation: Sendable { case token(String), virtualMCP(String), connector(String) }

    /// - Parameters:
    ///   - drain: lets a machine finish its calls, for a bounded time.
    ///   - asking: asks machines how they are used.
    ///   - publish: hears of every new directory.
    ///   - revoked: ends what a revoked grant had opened.
    ///   - rest: how long a principal's machine must have been idle to be taken from it.
    ///   - placementMemory: how long a session counts that a machine does not tell of yet.
    ///   - tidyingPause: before the second attempt to remove what is half-made; longer before each further one.
    public init(
        database: DatabaseFile, keyRing: KeyRing, org: String, publicURL: String, listen: String,
        machines: any MachineControl & ImageBuilding & MachineLogs,
        probe: @escaping @Sendable (MachineAddress, Connector, CredentialSet?) async throws -> [UInt8],
        drain: @escaping @Sendable (MachineAddress, _ app: String) async -> Void, asking: MachineAsking = .deaf,
        publish: @escaping @Sendable (Directory) -> Void, revoked: @escaping @Sendable (Revocation) -> Void,
        tidyingPause: Duration = .seconds(1), rest: Duration = .seconds(30), placementMemory: Duration = .seconds(3),
        logger: Logger
    ) throws {
        connectors = ConnectorStore(database: database.pool)
        tokens = TokenStore(database: database.pool)
        sessions = SessionStore(database: database.pool)
        credentialStore = try CredentialStore(database: database.pool, keyRing: keyRing)
        provider = MachineProvider(machines: machines, connectors: connectors, asking: asking, rest: rest, placementMemory: placementMemory, logger: logger)
        let old = OldMachines(machines: machines, provider: provider, asking: asking, drain: drain, logger: logger)
        keeper = MachineKeeper(
            provider: provider, numbers: MachineNumbers(machines: machines, provider: provider, drain: drain, logger: logger), old: old,
            logger: logger)
        builder = DirectoryBuilder(connectors: connectors, tokens: tokens, logger: logger)
        self.keyRing = keyRing
        self.org = org
        self.publicURL = publicURL
        self.listen = listen
        self.publish = publish
        self.revoked = revoked
        tidying = RetriedWork(first: tidyingPause)
        let tidying = tidying
        self.logger = logger
        let master = keyRing.master
        provisioner = Provisioner(
            store: connectors, credentials: credentialStore, machines: machines, provider: provider, probe: probe, oldMachines: old, org: org,
            appRoot: { app in try AppRoot.derive(master: master.secret, org: org, app: app) }, leaves: { tidying.ask($0) }, logger: logger)
    }

    /// Publishes the first directory, and begins to clean up what an earlier run left half-made: beside the commands, for one
    /// machine that is stuck must not keep the others from their callers.
    public func start() async throws {
        try await refresh()
        keeper.start()
        tidying.start { [weak self] name in await self?.tidy(name) ?? true }
        do {
            try await sessions.prune(before: WallClock.milliseconds() - 7 * 86_400_000)
            for record in try await connectors.connectors() { tidying.ask(record.name) }
        } catch {
            logger.error("what an earlier run left stays until the next start", metadata: ["error": "\(error)"])
        }
    }

    /// Ends what runs beside the commands; what is committed takes effect before.
    public func stop() async {
        await keeper.stop()
        await tidying.stop()
        while let change = changes.values.first { await change() }
    }

    /// - Returns: whether nothing half-made is left of a connector.
    private func tidy(_ name: String) async -> Bool {
        // Whoever is at it now may leave something.
        guard !busy.contains(name) else { return false }
        do {
            try await exclusively(name) {
                if case .removed = try await provisioner.tidy(name) { try await change(ending: .connector(name)) {} }
            }
            return true
        } catch {
            logger.error("something half-made is left of a connector", metadata: ["connector": "\(name)", "error": "\(error)"])
            return false
        }
    }

    private func refresh() async throws {
        version += 1
        let directory = try await builder.build(version: version)
        publish(directory)
        keeper.publish(directory)
    }

    /// Commits a change and makes it take effect, in a task of the plane's own: nothing keeps what is committed from its effect,
    /// whether the caller goes away meanwhile or the directory cannot be built.
    ///
    /// - Parameters:
    ///   - revocation: whose calls and streams end with it.
    ///   - commit: nothing follows where it throws. One that finds nothing to do is followed all the same: an earlier one may
    ///     have failed half-way.
    ///   - last: what comes after the new directory.
    private func change<R: Sendable>(
        ending revocation: Revocation? = nil, _ commit: @escaping @Sendable () async throws -> R,
        then last: (@Sendable () async -> Void)? = nil
    ) async throws -> R {
        lastChange += 1
        let number = lastChange
        let task = Task {
            defer { changes[number] = nil }
            let result = try await commit()
            do {
                defer { if let revocation { revoked(revocation) } }
                try await refresh()
            }
            await last?()
            return result
        }
        changes[number] = { _ = await task.result }
        return try await task.value
    }

    // MARK: Connectors

    /// Every machine that runs, with its connector, and of how many connectors the orchestrator did not tell.
    func runningMachines() async throws -> (found: [LostCalls.Machine], silent: Int) {
        var found: [LostCalls.Machine] = []
        var silent = 0
        for record in try await connectors.connectors() {
            do {
                for address in try await provider.running(app: record.app) {
                    found.append(.init(connector: record.name, app: record.app, address: address))
                }
            } catch {
                silent += 1
                logger.warning("a connector's machines are not known", metadata: ["connector": "\(record.name)", "error": "\(error)"])
            }
        }
        return (found, silent)
    }

    func list() async throws -> [ConnectorRecord] { try await connectors.connectors().filter { !$0.isTrial } }

    /// Adds (or changes) a connector; steps are said while it goes on, the end is the last event.
    ///
    /// - Returns: why it is not ready; nil when it is.
    func provision(
        _ request: ConnectorRequest, updating: Bool, say: @escaping @Sendable (ProvisioningEvent) -> Void
    ) async -> ProvisioningFailure? {
        await told(request.name, say) { begin in
            let tools = try await exclusively(request.name) {
                let tools = updating ? try await provisioner.update(request, say: say) : try await provisioner.add(request, say: say)
                // The row is written. Calls go to the new machine first; then the old one may go. An update leaves what waits for
                // a machine alone: its generation moves pins and credentials.
                if updating {
                    try await change {} then: { [provisioner] in await provisioner.retireOldMachines(of: request.name) }
                } else {
                    try await change(ending: .connector(request.name)) {}
                }
                return tools
            }
            return .ready(name: request.name, tools: tools, seconds: Self.seconds(since: begin))
        }
    }

    /// Tells what a rebuild would change.
    func preview(_ name: String, accepting: [String] = [], say: @escaping @Sendable (ProvisioningEvent) -> Void) async -> ProvisioningFailure? {
        await told(name, say) { _ in
            .changes(try await exclusively(name) { try await provisioner.preview(name, accepting: accepting, say: say) })
        }
    }

    /// Puts another version in the place of the one that serves.
    func replace(_ name: String, by version: NextVersion, say: @escaping @Sendable (ProvisioningEvent) -> Void) async -> ProvisioningFailure? {
        await told(name, say) { begin in
            let tools = try await exclusively(name) {
                let tools =
                    switch version {
                    case .rebuilt(let agreed): try await provisioner.rebuild(name, agreed, say: say)
                    case .earlier(let number): try await provisioner.rollback(name, to: number, say: say)
                    }
                try await change {} then: { [provisioner] in await provisioner.retireOldMachines(of: name) }
                return tools
            }
            return .ready(name: name, tools: tools, seconds: Self.seconds(since: begin))
        }
    }

    enum NextVersion: Sendable {
        case rebuilt(Provisioner.Agreed)
        /// nil: the last one with other code.
        case earlier(Int?)
    }

    /// Newest first.
    func versions(of name: String) async throws -> [ConnectorVersion] { try await connectors.versions(of: name) }

    /// Tries an image without a connector.
    ///
    /// - Returns: why it cannot be hosted as it is; nil when it can.
    func trial(_ request: ConnectorRequest, say: @escaping @Sendable (ProvisioningEvent) -> Void) async -> ProvisioningFailure? {
        await told("image test", say) { begin in
            var request = request
            // One machine, once.
            (request.name, request.life) = ("image-test", nil)
            // With a list of its own names are asked of the orchestrator, which tells of those that it refuses.
            if request.trace == true, (request.egress ?? []).isEmpty, (request.egress_private ?? []).isEmpty { request.egress = [TrialRefusal.noHost] }
            var definition = try ConnectorRules.check(request)
            definition.trace = request.trace
            let record = ConnectorRecord.trial(definition, org: org)
            let trial = try await exclusively(record.name) {
                try await provisioner.trial(record, secrets: request.secrets ?? [:], accepting: request.accept ?? [], say: say)
            }
            return .passed(trial, seconds: Self.seconds(since: begin))
        }
    }

    /// Says how the work ended, which says its steps itself.
    private func told(
        _ name: String, _ say: @Sendable (ProvisioningEvent) -> Void, _ work: (_ begin: ContinuousClock.Instant) async throws -> ProvisioningEvent
    ) async -> ProvisioningFailure? {
        let failed: ProvisioningFailure
        do {
            say(try await work(.now))
            return nil
        } catch {
            if let known = ProvisioningFailure(explaining: error) {
                failed = known
            } else {
                logger.error("provisioning failed", metadata: ["connector": "\(name)", "error": "\(error)"])
                failed = .internalError
            }
        }
        say(.failed(failed))
        return failed
    }

    private static func seconds(since begin: ContinuousClock.Instant) -> Double {
        let time = (ContinuousClock.now - begin).components
        return Double(time.seconds) + Double(time.attoseconds) / 1e18
    }

    /// A removal that is broken off is finished by ``tidy(_:)``.
    func removeConnector(_ name: String) async throws {
        try await exclusively(name) {
            try await provisioner.remove(name)
            try await change(ending: .connector(name)) {}
        }
    }

    private func exclusively<R: Sendable>(_ name: String, _ body: () async throws -> R) async throws -> R {
        guard busy.insert(name).inserted else {
            throw ProvisioningFailure(
                error: "busy", message: "another change of \(name) is under way", field: "name", hint: "wait for it, then repeat the command")
        }
        defer { busy.remove(name) }
        return try await body()
    }

    // MARK: Virtual MCPs

    func virtualMCPs() async throws -> [(slug: String, connectors: [String], createdAt: Int64)] { try await connectors.virtualMCPs() }

    func putVirtualMCP(_ slug: String, connectors names: [String], replacing: Bool) async throws {
        guard ConnectorRules.isName(slug) else {
            throw ProvisioningFailure(
                error: "invalid", message: "'\(slug.prefix(64))' is no name for a virtual MCP", field: "name",
                hint: ConnectorRules.nameHint)
        }
        let records = try await connectors.connectors()
        let known = records.filter { $0.state == .ready }.map(\.name)
        for name in names where !known.contains(name) {
            if let record = records.first(where: { $0.name == name }) { throw ProvisioningFailure.notReady(record, field: "connectors") }
            throw ProvisioningFailure.unknown("connector", name, among: known, field: "connectors")
        }
        guard !names.isEmpty, Set(names).count == names.count else {
            throw ProvisioningFailure(
                error: "invalid", message: names.isEmpty ? "a virtual MCP needs a connector" : "a connector is named twice", field: "connectors",
                hint: "berth vmcp create NAME CONNECTOR…")
        }
        let isDone: Bool
        do {
            isDone = try await change { [connectors] in
                try await connectors.put(virtualMCP: slug, connectors: names, replacing: replacing, at: WallClock.milliseconds())
            }
        } catch let error as ConnectorNotReady {
            throw ProvisioningFailure.unknown("connector", error.name, among: known, field: "connectors")
        }
        guard isDone else {
            throw replacing
                ? try await unknownVirtualMCP(slug, field: "name")
                : ProvisioningFailure(
                    error: "exists", message: "a virtual MCP named \(slug) is there already", field: "name",
                    hint: "berth vmcp update \(slug) CONNECTOR…")
        }
    }

    func removeVirtualMCP(_ slug: String) async throws {
        let isDone = try await change(ending: .virtualMCP(slug)) { [connectors] in try await connectors.deleteVirtualMCP(slug) }
        guard isDone else { throw try await unknownVirtualMCP(slug, field: "name") }
    }

    private func unknownVirtualMCP(_ slug: String, field: String) async throws -> ProvisioningFailure {
        .unknown("virtual MCP", slug, among: try await connectors.virtualMCPs().map(\.slug), field: field)
    }

    // MARK: Tokens

    /// The token itself is in this answer and nowhere else.
    func createToken(principal: String, slug: String?, expiresIn seconds: Int64?) async throws -> (record: TokenRecord, token: String) {
        if let problem = PrincipalName.problem(principal) { throw problem }
        if let slug, try await !connectors.virtualMCPs().contains(where: { $0.slug == slug }) {
            throw try await unknownVirtualMCP(slug, field: "vmcp")
        }
        if let seconds, !(1...315_360_000).contains(seconds) {
            throw ProvisioningFailure(error: "invalid", message: "the expiry is out of range", field: "expires_in", hint: "seconds, up to ten years")
        }
        let token = try TokenStore.newToken()
        let now = WallClock.milliseconds()
        let record = try await change { [tokens] in
            try await tokens.insert(token: token, principal: principal, slug: slug, now: now, expiresAt: seconds.map { now + $0 * 1_000 })
        }
        return (record, token)
    }

    func listTokens() async throws -> [TokenRecord] { try await tokens.all() }

    func revokeToken(_ id: String) async throws {
        let isDone = try await change(ending: .token(id)) { [tokens] in try await tokens.revoke(id, now: WallClock.milliseconds()) }
        guard isDone else {
            throw ProvisioningFailure(error: "not_found", message: "no such token, or it is revoked already", field: "id", hint: "berth token list")
        }
    }

    /// The first admin token, sealed in the database so that a second `berth up` can print it again.
    func bootstrapToken() async throws -> String {
        let identity = "settings/bootstrap_token"
        if let sealed = try await connectors.setting("bootstrap_token") {
            let token = String(decoding: try keyRing.open(sealed, identity: identity), as: UTF8.self)
            if try await tokens.grants()[TokenStore.digest(token)] != nil { return token }
        }
        let (_, token) = try await createToken(principal: "admin", slug: nil, expiresIn: nil)
        try await connectors.setSetting("bootstrap_token", keyRing.seal(Array(token.utf8), identity: identity))
        return token
    }
}

extension ControlPlane: DataPathSupport {
    public nonisolated func readyMachine(for connector: Connector, principal: String) async throws -> MachineAddress {
        try await provider.ready(connector, for: principal)
    }

    public nonisolated func refresh(machine: String, of connector: Connector, principal: String) async throws -> MachineAddress? {
        try await provider.refresh(machine: machine, of: connector, for: principal)
    }

    public nonisolated func wake(machine: String, app: String) async throws -> Bool { try await provider.wake(machine: machine, app: app) }

    public nonisolated func credentials(for connector: Connector, principal: String) async throws -> CredentialSet? {
        connector.secretNames.isEmpty ? nil : try await credentialStore.credentials(connector: connector.name)
    }

    public nonisolated func requestStateKey() throws -> Secret { try keyRing.derived("request state") }

    public nonisolated func doorKeys(app: String, machine: String, boot: String) throws -> DoorKeys {
        try DoorKeys(root: AppRoot.derive(master: keyRing.master.secret, org: org, app: app), machine: machine, boot: boot)
    }

    public nonisolated func pin(_ pin: Pin) async throws -> Pin { try await sessions.pin(pin) }
    public nonisolated func pin(session: String, connector: String) async throws -> Pin? {
        try await sessions.pin(session: session, connector: connector)
    }
    public nonisolated func repin(_ pin: Pin, ifEpoch epoch: Int) async throws -> Pin { try await sessions.repin(pin, ifEpoch: epoch) }
    public nonisolated func insertSession(_ session: ClientSession) async throws { try await sessions.insert(session) }
    public nonisolated func session(id: String, principal: String, virtualMCP: String) async throws -> ClientSession? {
        try await sessions.session(id: id, principal: principal, virtualMCP: virtualMCP)
    }
    public nonisolated func sessionsUsed(_ ids: [String]) async throws { try await sessions.used(ids) }
    public nonisolated func endSession(id: String) async throws { try await sessions.end(id: id) }
}
