import Hummingbird
import Logging

/// Who speaks to the control surface.
public enum ControlCaller: Sendable, Equatable {
    /// A root process of this host, over the control socket (peer credentials).
    case localRoot
    /// An admin token on the public listener, and where it came from.
    case admin(principal: String, clientAddress: String)

    /// As audit rows name it.
    var principal: String {
        switch self {
        case .localRoot: "local:root"
        case .admin(let principal, _): principal
        }
    }

    var clientAddress: String {
        switch self {
        case .localRoot: ""
        case .admin(_, let address): address
        }
    }
}

/// What a control request carries beside itself.
struct ControlContext: RequestContext {
    struct Source: RequestContextSource {
        let logger: Logger
        let caller: ControlCaller
    }

    var coreContext: CoreRequestContextStorage
    let caller: ControlCaller

    init(source: Source) {
        coreContext = .init(source: source)
        caller = source.caller
    }

    var maxUploadSize: Int { 1 << 20 }
}
