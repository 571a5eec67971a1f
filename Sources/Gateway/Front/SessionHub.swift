import JSONText
import Logging
import MCP
import NIOCore
import Sealing

/// The sessions of the gateway as its fronts see them. A legacy session is a row, which survives a restart, and is
/// cached here; it belongs to one principal and one virtual MCP and is not there for anybody else.
final class SessionHub: FrontHost {
    private static let clientLimit = 64 << 10

    let eventLoop: any EventLoop
    private let settings: DataPathSettings
    private let support: any DataPathSupport
    private let log: AuditLog
    private let logger: Logger
    private var table = SessionTable()
    private var identities: [String: ServerIdentity] = [:]
    private var modernKeys: [SessionTable.Owner: String] = [:]
    private var ended = RecentlyEnded()
    /// When the rows last heard which sessions are used.
    private var markedAt = NIODeadline.now()
    /// A session ended by itself or from outside: its calls, streams and pins go too.
    var onEnd: (String) -> Void = { _ in }
    /// The same, for what the other loops know of the session.
    var tellOthers: (String) -> Void = { _ in }

    init(eventLoop: any EventLoop, settings: DataPathSettings, support: any DataPathSupport, log: AuditLog, logger: Logger) {
        self.eventLoop = eventLoop
        self.settings = settings
        self.support = support
        self.log = log
        self.logger = logger
    }

    /// The catalogue changed: what was made of it is made again when asked for.
    func directoryChanged() { identities.removeAll(keepingCapacity: true) }

    // MARK: FrontHost

    func identity(
        for caller: FrontCaller, version: String, declaring: ByteBuffer?, completion: @escaping (Result<ServerIdentity, MCPError>) -> Void
    ) {
        if let known = identities[caller.endpoint] { return completion(.success(known)) }
        guard let admission = caller.attachment as? Admitted else { return completion(.failure(.internalError("no admission"))) }
        let virtualMCP = admission.virtualMCP
        let identity = ServerIdentity(
            serverInfo: virtualMCP.serverInfo, capabilities: virtualMCP.capabilities,
            instructions: virtualMCP.instructions.map { ByteBuffer(bytes: JSONString.quote($0)) })
        identities[caller.endpoint] = identity
        completion(.success(identity))
    }

    func openSession(_ new: LegacySessionRecord, caller: FrontCaller, completion: @escaping (Result<String, MCPError>) -> Void) {
        guard let admission = caller.attachment as? Admitted else { return completion(.failure(.internalError("no admission"))) }
        // It is kept with the session, in memory and in its row.
        guard new.clientCapabilities.readableBytes + (new.clientInfo?.readableBytes ?? 0) <= Self.clientLimit else {
            return completion(.failure(.invalidParams("clientInfo and capabilities are longer than \(Self.clientLimit) bytes")))
        }
        let id: String
        do {
            id = Base64URL.encode(try randomBytes(16))
        } catch {
            return completion(.failure(.internalError("no random bytes")))
        }
        let row = ClientSession(
            id: id, principal: caller.principal, virtualMCP: caller.endpoint, protocolVersion: new.protocolVersion,
            capabilities: String(buffer: new.clientCapabilities), clientInfo: new.clientInfo.map { String(buffer: $0) } ?? "{}",
            createdAt: WallClock.milliseconds())
        let support = support
        eventLoop.makeFutureWithTask { try await support.insertSession(row) }.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success:
                keep(id, Self.owner(caller), new)
                if let failure = connected(admission, session: id) { return completion(.failure(failure)) }
                completion(.success(id))
            case .failure(let error):
                logger.error("a session cannot be opened", metadata: ["error": "\(error)"])
                completion(.failure(.internalError("the session cannot be opened")))
            }
        }
    }

    func session(id: String, caller: FrontCaller, completion: @escaping (LegacySessionRecord?) -> Void) {
        let owner = Self.owner(caller)
        if let known = table.owner(of: id) {
            guard known == owner, let record = table.legacy(id) else { return completion(nil) }
            table.touch(id, now: .now())
            return completion(record)
        }
        // What cannot be an id of ours is not looked for.
        guard ClientSession.isID(id), !ended.contains(id) else { return completion(nil) }
        let support = support
        eventLoop.makeFutureWithTask {
            try await support.session(id: id, principal: owner.principal, virtualMCP: owner.slug)
        }.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let row?) where !ended.contains(id):
                let record = LegacySessionRecord(
                    protocolVersion: row.protocolVersion, clientInfo: ByteBuffer(string: row.clientInfo),
                    clientCapabilities: ByteBuffer(string: row.capabilities))
                if !table.contains(id) { keep(id, owner, record) }
                completion(record)
            case .success: completion(nil)
            case .failure(let error):
                logger.error("a session cannot be read", metadata: ["error": "\(error)"])
                completion(nil)
            }
        }
    }

    func closeSession(id: String, caller: FrontCaller) {
        guard table.owner(of: id) == Self.owner(caller) else { return }
        end(id)
    }

    func parameterHeaders(for caller: FrontCaller) -> [String: ParameterHeaders] {
        (caller.attachment as? Admitted)?.virtualMCP.parameterHeaders ?? [:]
    }

    func context(for caller: FrontCaller, session: String?) -> CallContext {
        let owner = Self.owner(caller)
        let key = session ?? modernKey(owner)
        var context = CallContext(session: SessionKey(id: key))
        guard let admission = caller.attachment as? Admitted else { return context }
        if session != nil {
            table.touch(key, now: .now())
        } else if table.contains(key) {
            table.touch(key, now: .now())
        } else {
            _ = table.add(key, owner, .modern, limit: .max, now: .now())
            _ = connected(admission, session: key)
        }
        context.attachment = CallRecord(
            grant: admission.grant, virtualMCP: admission.virtualMCP, session: key, clientAddress: admission.clientAddress)
        return context
    }

    // MARK: Ends

    /// Ends what was not used for too long. `busy` are sessions with a stream or a call.
    func sweep(busy: Set<String>) {
        let now = NIODeadline.now()
        for id in busy { table.touch(id, now: now) }
        for id in table.idle(now: now, legacy: settings.sessionIdle, modern: settings.modernIdle) { end(id) }
        if now - markedAt >= settings.sessionMark { mark(now) }
    }

    /// A session that stays in memory is read once, and would look unused at the next start.
    private func mark(_ now: NIODeadline) {
        let used = table.legacy(usedSince: markedAt)
        markedAt = now
        guard !used.isEmpty else { return }
        let (support, logger) = (support, logger)
        eventLoop.makeFutureWithTask { try await support.sessionsUsed(used) }.whenFailure { error in
            logger.error("sessions cannot be marked as used", metadata: ["error": "\(error)"])
        }
    }

    func end(where isGone: (SessionTable.Owner) -> Bool) {
        for id in table.ids(where: isGone) { end(id) }
    }

    var count: Int { table.count }
    func owner(of id: String) -> SessionTable.Owner? { table.owner(of: id) }

    /// Another loop ended the session.
    func drop(_ id: String) {
        if let owner = table.owner(of: id), modernKeys[owner] == id { modernKeys[owner] = nil }
        onEnd(id)
        if table.legacy(id) != nil { ended.insert(id) }
        table.remove(id)
    }

    private func end(_ id: String) {
        drop(id)
        tellOthers(id)
        let support = support
        let logger = logger
        eventLoop.makeFutureWithTask { try await support.endSession(id: id) }.whenFailure { error in
            logger.error("a session's row cannot be ended", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Helpers

    private func keep(_ id: String, _ owner: SessionTable.Owner, _ record: LegacySessionRecord) {
        let evicted = table.add(id, owner, .legacy(record), limit: settings.sessionsPerPrincipal, now: .now())
        if let evicted { end(evicted) }
    }

    /// The row that says a client came.
    private func connected(_ admission: Admitted, session: String) -> MCPError? {
        var row = AuditRow(method: "connected", outcome: .allowed, principal: admission.grant.principal)
        row.clientAddress = admission.clientAddress
        row.tokenID = admission.grant.tokenID
        row.virtualMCP = admission.virtualMCP.slug
        row.session = session
        return log.write(row)
    }

    /// Told from a legacy id by its length, and not from the principal's name, which a machine need not know.
    private func modernKey(_ owner: SessionTable.Owner) -> String {
        if let known = modernKeys[owner] { return known }
        // Neither text holds a zero byte.
        let digest = try? SHA256.digest(Array(owner.principal.utf8) + [0] + Array(owner.slug.utf8))
        let key = "m" + (digest.map { Base64URL.encode($0) } ?? owner.principal)
        modernKeys[owner] = key
        return key
    }

    private static func owner(_ caller: FrontCaller) -> SessionTable.Owner {
        SessionTable.Owner(principal: caller.principal, slug: caller.endpoint)
    }
}

/// What a request was let in with.
final class Admitted {
    let grant: Grant
    let virtualMCP: VirtualMCP
    let clientAddress: String

    init(grant: Grant, virtualMCP: VirtualMCP, clientAddress: String) {
        self.grant = grant
        self.virtualMCP = virtualMCP
        self.clientAddress = clientAddress
    }
}
