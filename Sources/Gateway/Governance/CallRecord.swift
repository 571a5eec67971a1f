import Door
import MCP
import NIOCore
import Sealing

/// What the services of the ``Stack`` tell each other of one call, and the audit row is made from. Confined to the loop.
final class CallRecord {
    let grant: Grant
    let virtualMCP: VirtualMCP
    let session: String
    /// Empty for a call of our own.
    let clientAddress: String
    /// Milliseconds since 1970.
    let time: Int64 = WallClock.milliseconds()

    // Curation
    var method = ""
    var exposedTool: String?
    var tool: String?
    var connector: Connector?
    var arguments: ByteBuffer?

    // Authorisation
    /// Why policy refused the call.
    var denial: String?

    // Routing
    var pin: PinTable.Entry?
    var isRepinned = false
    /// The `jti` of the last attempt, by which the machine knows the call.
    var callID: HostedToken.ID?
    /// Why the machine could not take the call, where it is the machine's fault.
    var loss: DoorAnswer.Loss?

    var credentials: CredentialSet?
    /// Knows the values of ``credentials``.
    var redactor = CallRecord.plainRedactor

    var principal: String { grant.principal }

    init(grant: Grant, virtualMCP: VirtualMCP, session: String, clientAddress: String = "") {
        self.grant = grant
        self.virtualMCP = virtualMCP
        self.session = session
        self.clientAddress = clientAddress
    }

    private static let plainRedactor = AuditRedactor()

    static func of(_ context: CallContext) -> CallRecord? { context.attachment as? CallRecord }
}
