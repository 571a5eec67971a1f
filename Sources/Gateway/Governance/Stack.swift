import Logging
import MCP
import NIOCore
import Sealing
import Wire

/// The list of services that every request passes, in order (DESIGN §7). One per loop, built at start:
///
///     audit → curate → authorise → input state → route → credentials → hop
final class Stack {
    let audit: AuditService
    let curate: CurateService
    let router: Router
    let credentials: CredentialService
    let hop: Hop

    /// What a front asks.
    var entry: any MCPService { audit }

    init(
        eventLoop: any EventLoop, settings: DataPathSettings, support: any DataPathSupport, directory: DirectorySlot, stateKey: Secret,
        log: AuditLog, logger: Logger,
        released: @escaping (_ session: String, _ connector: String, MachineAddress) -> Void
    ) throws {
        let pool = ConnectionPool(eventLoop: eventLoop)
        let doors = Doors(support: support, org: settings.org, pool: pool)
        hop = Hop(eventLoop: eventLoop, pool: pool, doors: doors, answerLimit: settings.answerBytes, logger: logger)
        credentials = CredentialService(next: hop, support: support, logger: logger)
        router = Router(
            next: credentials, search: PinSearch(support: support), directory: directory, doors: doors, wakeQueue: settings.wakeQueue,
            wakeTime: settings.wakeTime, logger: logger, released: released)
        let states = try InputStateService(next: router, key: stateKey)
        let authorise = AuthoriseService(next: states, directory: directory)
        curate = CurateService(next: authorise, directory: directory)
        audit = AuditService(next: curate, log: log, callTimeout: settings.callTimeout, callsPerPrincipal: settings.callsPerPrincipal)
    }
}
