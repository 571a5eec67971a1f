import Door
import MCP
import NIOCore
import Sealing
import Wire

/// What one boot of one machine is reached with: endpoint, minter, sealing key. Confined to the loop.
final class MachineDoor {
    let address: MachineAddress
    let endpoint: Endpoint
    let app: String
    /// Calls that went in and have no outcome yet.
    var underWay = 0
    var isBeingWaked = false
    private let minter: TokenMinter
    private var sealer: AEADKey?
    /// When the door was last seen open.
    private var seenOpen: NIODeadline?

    init(address: MachineAddress, app: String, endpoint: Endpoint, minter: TokenMinter) {
        self.app = app
        self.address = address
        self.endpoint = endpoint
        self.minter = minter
    }

    /// The head of one attempt, with a token of its own, whose id the machine remembers a call by.
    func head(
        _ route: DoorRoute, principal: String, session: String, fingerprint: String = "", client: Era = .modern, length: Int,
        field: (name: String, value: String)? = nil
    ) throws(SealingError) -> (bytes: ByteBuffer, id: HostedToken.ID) {
        var head = opening(route)
        if route == .mcp { head.writeStaticString("content-type: application/json\r\naccept: application/json, text/event-stream\r\n") }
        if !fingerprint.isEmpty { head.writeField(DoorHeaders.credentials, fingerprint) }
        if client == .legacy { head.writeField(DoorHeaders.clientEra, client.rawValue) }
        if let field { head.writeField(field.name, field.value) }
        let id = try writeToken(principal: principal, session: session, to: &head)
        close(&head, length: length)
        return (head, id)
    }

    /// How long a door that was seen open is taken to be; the orchestrator waits longer between closing a door and freezing what is behind it.
    static let lookInterval = TimeAmount.milliseconds(100)

    /// Whether the orchestrator has closed the door: its machine is suspended, and a connection that is open already leads into silence.
    ///
    /// - Parameter now: `nil`: look, whatever the last look said.
    func isClosed(now: NIODeadline?) -> Bool {
        if let seenOpen, let now, now < seenOpen + Self.lookInterval { return false }
        let isClosed = DoorLook.isClosed(endpoint)
        seenOpen = isClosed ? nil : now ?? .now()
        return isClosed
    }

    /// `PUT /credentials`: the body is bound to the token in the head.
    func put(_ credentials: CredentialSet, principal: String, session: String) throws -> (head: ByteBuffer, body: ByteBuffer) {
        var head = opening(.credentials)
        head.writeStaticString("content-type: application/octet-stream\r\n")
        let id = try writeToken(principal: principal, session: session, to: &head)
        let key: AEADKey
        if let sealer { key = sealer } else { key = try AEADKey(minter.keys.seal) }
        sealer = key
        let body = try SealedCredentials.seal(credentials, with: key, id: id, session: session, principal: principal)
        close(&head, length: body.count)
        return (head, ByteBuffer(bytes: body))
    }

    private func opening(_ route: DoorRoute) -> ByteBuffer {
        var head = ByteBufferAllocator().buffer(capacity: 1_024)
        head.writeRequestLine(method: route.method, target: route.path)
        head.writeStaticString("host: machine\r\n")
        return head
    }

    private func writeToken(principal: String, session: String, to head: inout ByteBuffer) throws(SealingError) -> HostedToken.ID {
        head.writeString(HostedToken.headerName)
        head.writeStaticString(": ")
        let id = try minter.mint(principal: principal, session: session) { _ = head.writeBytes($0) }
        head.writeStaticString("\r\n")
        return id
    }

    private func close(_ head: inout ByteBuffer, length: Int) {
        head.writeField("content-length", length)
        head.writeHeadEnd()
    }
}

/// The doors that this loop has spoken to, so that keys are derived once per boot.
final class Doors {
    private static let limit = 4_096

    let support: any DataPathSupport
    private let org: String
    private let pool: ConnectionPool
    private let sender = TokenSender()
    private var known: [String: MachineDoor] = [:]
    /// Boots that are over, and since when.
    private var gone: [(scope: DoorKeys.Scope, since: NIODeadline)] = []

    init(support: any DataPathSupport, org: String, pool: ConnectionPool) {
        self.support = support
        self.pool = pool
        self.org = org
    }

    /// - Throws: when the key ring has no master for the app or the door's address cannot be read.
    func door(_ address: MachineAddress, app: String) throws -> MachineDoor {
        if let door = known[address.boot], door.address == address { return door }
        guard let endpoint = Endpoint(door: address.door) else { throw DoorUnusable(reason: "the machine's door cannot be read") }
        let keys = try support.doorKeys(app: app, machine: address.machine, boot: address.boot)
        // The sender keeps every counter, so that forgetting a door never repeats a token.
        let door = MachineDoor(address: address, app: app, endpoint: endpoint, minter: try sender.minter(for: keys, org: org))
        if known.count >= Self.limit { known.removeAll(keepingCapacity: true) }
        known[address.boot] = door
        return door
    }

    /// Closed doors with calls behind them.
    var standing: [MachineDoor] { known.values.filter { $0.underWay > 0 && $0.isClosed(now: nil) } }

    /// The boot is over as far as we know. Its counter is kept for a while: were the boot still there, beginning again
    /// would repeat tokens.
    func forget(_ address: MachineAddress) {
        guard let door = known.removeValue(forKey: address.boot) else { return }
        pool.close(door.endpoint)
        gone.append((.machine(id: address.machine, boot: address.boot), .now()))
        while gone.count > Self.limit / 4, let oldest = gone.first, oldest.since + .minutes(5) < .now() {
            gone.removeFirst()
            sender.forget(oldest.scope)
        }
    }
}

struct DoorUnusable: Error {
    var reason: String
}
