/// The paths of a machine's door (DESIGN §5).
public enum DoorRoute: Equatable, Sendable {
    /// `POST /mcp`: one request of the modern dialect.
    case mcp
    /// `PUT /credentials`: a sealed ``CredentialSet``.
    case credentials
    /// `PUT /keys`: the next generation, sealed under the present one.
    case keys
    /// `GET /sessions`
    case sessions
    /// `DELETE /sessions/{sid}`
    case endSession(String)
    /// `POST /drain`
    case drain
    /// `GET /healthz`: the agent lives.
    case health
    /// `GET /readyz`: a child or server answers MCP.
    case ready
    /// `GET /stats`
    case stats
    /// `GET /calls`: the last 1,024 call ids.
    case calls

    /// Why a request line names no route.
    public enum Miss: Error, Equatable, Sendable {
        case notFound
        case methodNotAllowed
    }

    /// Finds the route of a request line; the path has no query.
    public static func find(method: String, path: String) -> Result<DoorRoute, Miss> {
        let wanted: String
        let route: DoorRoute
        switch path {
        case "/mcp": (wanted, route) = ("POST", .mcp)
        case "/credentials": (wanted, route) = ("PUT", .credentials)
        case "/keys": (wanted, route) = ("PUT", .keys)
        case "/sessions": (wanted, route) = ("GET", .sessions)
        case "/drain": (wanted, route) = ("POST", .drain)
        case "/healthz": (wanted, route) = ("GET", .health)
        case "/readyz": (wanted, route) = ("GET", .ready)
        case "/stats": (wanted, route) = ("GET", .stats)
        case "/calls": (wanted, route) = ("GET", .calls)
        default:
            guard path.hasPrefix("/sessions/"), let sid = sessionID(path.dropFirst("/sessions/".count)) else { return .failure(.notFound) }
            (wanted, route) = ("DELETE", .endSession(sid))
        }
        return method == wanted ? .success(route) : .failure(.methodNotAllowed)
    }

    /// The method of the route.
    public var method: String {
        switch self {
        case .mcp, .drain: "POST"
        case .credentials, .keys: "PUT"
        case .endSession: "DELETE"
        case .sessions, .health, .ready, .stats, .calls: "GET"
        }
    }

    /// Whether a token for the app, whose sender does not know the machine, is enough: it calls, and neither hands anything over nor ends
    /// anything.
    public var takesAppTokens: Bool { self == .mcp || self == .health || self == .ready }

    /// The path of the route.
    public var path: String {
        switch self {
        case .mcp: "/mcp"
        case .credentials: "/credentials"
        case .keys: "/keys"
        case .sessions: "/sessions"
        case .endSession(let sid): "/sessions/\(sid)"
        case .drain: "/drain"
        case .health: "/healthz"
        case .ready: "/readyz"
        case .stats: "/stats"
        case .calls: "/calls"
        }
    }

    /// Session ids on the hop are plain: no escapes to disagree about.
    private static func sessionID(_ text: Substring) -> String? {
        guard !text.isEmpty, text.utf8.count <= 256,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "%") && $0 != UInt8(ascii: "?") })
        else { return nil }
        return String(text)
    }
}

/// Header names of the private hop beside ``HostedToken/headerName``.
public enum DoorHeaders {
    /// The fingerprint of the credentials a call must run with.
    public static let credentials = "x-berth-credentials"
    /// `legacy` on the call of a client of the handshake revisions: a server that speaks both eras is spoken to in that one. Nothing
    /// for any other.
    public static let clientEra = "x-berth-client-era"
    /// Of `POST /drain`: only where nobody has used the machine for so many milliseconds, else 409 ``DoorErrorCode/inUse``.
    public static let ifIdle = "x-berth-if-idle"
}

/// Principals of the private hop that are no person's.
public enum DoorPrincipal {
    /// The gateway, when it asks on its own account what a server offers.
    public static let prober = "berth:probe"
}

/// Error codes of the door, in `{"error":"<code>",…}`.
public enum DoorErrorCode {
    /// 401, with `reason`.
    public static let hostedAuth = "hosted_auth"
    /// 409: put the credentials of this fingerprint first; nothing was delivered.
    public static let credentialsNeeded = "credentials_needed"
    /// 400: the sealed body did not open.
    public static let badCredentials = "bad_credentials"
    /// 409: it was to drain only if it is idle, and it is not.
    public static let inUse = "in_use"
    /// 403: not with a token for the app.
    public static let appToken = "app_token"
    /// 503: draining; nothing was delivered.
    public static let draining = "draining"
}
