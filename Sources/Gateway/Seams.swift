public import Door
public import Sealing

/// The control plane as the data path sees it; every method is called off the loops' hot path (a cold session, a
/// missing credential), never per warm call.
public protocol DataPathSupport: Sendable {
    /// A machine that serves `connector` for `principal`, started and ready, with its door and boot id; starts one when none runs.
    /// Concurrent callers for one connector (and principal, where each has its own machine) share one start.
    func readyMachine(for connector: Connector, principal: String) async throws -> MachineAddress
    /// Asks the orchestrator again about one machine (after a refused connection or `wrong_boot`), and wakes it if it is suspended; nil
    /// when it is gone, or another principal's.
    func refresh(machine: String, of connector: Connector, principal: String) async throws -> MachineAddress?
    /// Wakes a machine that stands still; does nothing to one in any other state.
    ///
    /// - Returns: whether it stood still.
    func wake(machine: String, app: String) async throws -> Bool
    /// The credentials of `connector` for `principal`; nil when it needs none.
    func credentials(for connector: Connector, principal: String) async throws -> CredentialSet?
    /// The key of what servers give clients to bring back (`requestState`): the same for every gateway of the installation.
    func requestStateKey() throws -> Secret
    /// The signing and sealing keys of one boot, derived from the key ring's master.
    func doorKeys(app: String, machine: String, boot: String) throws -> DoorKeys

    /// Pins (session, connector); the row that stands afterwards is answered (insert on conflict do nothing, re-read).
    func pin(_ pin: Pin) async throws -> Pin
    func pin(session: String, connector: String) async throws -> Pin?
    /// Moves a pin where `epoch` still matches; the row that stands afterwards is answered.
    func repin(_ pin: Pin, ifEpoch epoch: Int) async throws -> Pin

    /// Legacy client sessions, which survive a gateway restart.
    func insertSession(_ session: ClientSession) async throws
    /// The session, where it is this principal's at this virtual MCP.
    func session(id: String, principal: String, virtualMCP: String) async throws -> ClientSession?
    /// The sessions were used not long ago, and are known to the data path: nobody will ask for them.
    func sessionsUsed(_ ids: [String]) async throws
    func endSession(id: String) async throws
}

/// Where a machine answers, and which boot of it.
public struct MachineAddress: Sendable, Equatable {
    public var machine: String
    public var boot: String
    /// `unix:/…` or `http://…`.
    public var door: String
    /// Of its connector, as the machine was made; nil where it does not say.
    public var generation: Int?
    public init(machine: String, boot: String, door: String, generation: Int? = nil) {
        self.machine = machine
        self.boot = boot
        self.door = door
        self.generation = generation
    }
}

/// The durable binding of a session to a machine (DESIGN §4).
public struct Pin: Sendable, Equatable {
    public var session: String
    public var connector: String
    public var epoch: Int
    public var machine: String
    public var boot: String
    public init(session: String, connector: String, epoch: Int, machine: String, boot: String) {
        self.session = session
        self.connector = connector
        self.epoch = epoch
        self.machine = machine
        self.boot = boot
    }
}

/// A legacy client's session row.
public struct ClientSession: Sendable, Equatable {
    public var id: String
    public var principal: String
    public var virtualMCP: String
    public var protocolVersion: String
    /// JSON object texts as the client declared them.
    public var capabilities: String
    public var clientInfo: String
    /// Milliseconds since 1970.
    public var createdAt: Int64
    public init(
        id: String, principal: String, virtualMCP: String, protocolVersion: String, capabilities: String, clientInfo: String, createdAt: Int64
    ) {
        self.id = id
        self.principal = principal
        self.virtualMCP = virtualMCP
        self.protocolVersion = protocolVersion
        self.capabilities = capabilities
        self.clientInfo = clientInfo
        self.createdAt = createdAt
    }
}
