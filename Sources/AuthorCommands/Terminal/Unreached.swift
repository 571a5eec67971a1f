import Glibc
import MCP
import RemoteClient
import RemoteTLS
import ServerCheck

/// Why a server did not answer a call, as people and the logs of clients are told: in words instead of numbers, and with the remedy. Pure.
struct Unreached {
    private let why: Undelivered
    private let status: Int?
    private let address: RemoteAddress?
    private let name: String
    private let hasToken: Bool

    /// - Parameters:
    ///   - status: of the last HTTP answer that was no MCP answer.
    ///   - address: nil for a server that was started here.
    ///   - name: how the server is called.
    init(_ why: Undelivered, status: Int?, address: RemoteAddress?, name: String, hasToken: Bool) {
        self.why = why
        self.status = status
        self.address = address
        self.name = name
        self.hasToken = hasToken
    }

    /// For a command that ends with it.
    var failure: Failure {
        if let known { return Failure(known.isWhole ? known.message : "the call failed: \(known.message)", hint: known.remedy) }
        guard why.kind == .notDelivered else { return Failure("the call failed: \(said)", hint: "it may have acted on the call") }
        if address == nil, why.reason.hasPrefix("the server exited") || why.reason.hasPrefix("the server was killed") {
            return Failure(
                "the call failed: \(said)", hint: "what it wrote last is above, if anything; --env K=V and --env-file FILE give it variables")
        }
        return Failure("the call failed: \(said)", hint: "is it an MCP server?" + (meant.map { " " + $0 } ?? ""))
    }

    /// For a command that ends with what a server, or the bridge before it, answered a call with.
    static func failure(answered error: MCPError, hint: String) -> Failure {
        let prefix = "the call failed: "
        var failure = Failure(prefix + error.message, hint: hint)
        if [MCPError.Code.notDelivered, MCPError.Code.outcomeUnknown].contains(error.code) {
            // A bridge passes on what the process wrote last, and of that the end is the cause.
            failure.summary = prefix + LastWords.line(of: error.message)
        }
        return failure
    }

    /// The same for a client, where there is a remedy; else what it would have been told.
    var told: Undelivered {
        guard let known else { return why }
        return Undelivered(why.kind, Failure(known.message, hint: known.remedy).line)
    }

    /// - isWhole: it says by itself that nothing came of the call.
    private typealias Known = (message: String, remedy: String, isWhole: Bool)

    private var known: Known? {
        let reason = why.reason
        if let failure = TLSFailure(in: reason) { return (failure.rawValue, failure.remedy, false) }
        if reason.contains("errno: \(ECONNREFUSED)") { return ("nothing listens at \(name)", Remedy.url, true) }
        if reason.hasPrefix("cannot connect") { return unconnected }
        if let remedy = EraRemedy.text(reason) { return (reason.split(separator: "\n").first.map(String.init) ?? reason, remedy, false) }
        if reason.hasSuffix("it is no MCP server") { return (reason, "name the program that is one, and its arguments", false) }
        if let address, !address.isSecure, reason.contains("speaks HTTPS") {
            return ("\(name) speaks TLS", "it is https://\(address.authority)…", true)
        }
        // Before it has answered anything: later it is a server that failed, perhaps at the call.
        if let address, !address.isSecure, why.kind == .notDelivered, Self.isBrokenOff(reason) {
            let remedy = "does it speak TLS there? then it is https://\(address.authority)…, else: is it an MCP server?"
            return ("\(name) broke the connection off", remedy, true)
        }
        switch status {
        case 401:
            guard hasToken else { return (said, "give a token with --token-file or BERTH_TOKEN", false) }
            return (said, "the token is not good: mistyped, revoked or expired" + Remedy.tokens, false)
        case 403 where reason.contains("host or origin"):
            return (said, "the server knows itself by another name: berth bridge --allow-host adds one", false)
        case 403 where meant == nil: return (said, "the token does not open this URL" + Remedy.tokens, false)
        case 403, 404, 405: return (said, meant ?? Remedy.missing, false)
        case 429: return (said, "it has too much to do: try again later", false)
        case .some(500...) where why.kind == .notDelivered: return (said, "its own log says why", false)
        default: return nil
        }
    }

    private var meant: String? { address?.remedy(why.reason) }

    /// With the last words of a server that failed, where a bridge passes them on.
    private var said: String { LastWords.line(of: why.reason) }

    private var unconnected: Known {
        // "cannot connect to http://h:1: words (errno: 1)"
        let words = why.reason.firstRange(of: " (errno: ").map { why.reason[..<$0.lowerBound] } ?? why.reason[...]
        let plain = words.split(separator: ": ").last.map(String.init) ?? ""
        let isName = ["no address is known", "not known", "NXDOMAIN", "resolution"].contains { plain.contains($0) }
        return ("\(name) cannot be reached: \(Sentence.asClause(plain))", isName ? "is the host's name written right?" : Remedy.url, true)
    }

    /// What becomes of a plain request at a port that waits for TLS: a reset, or an alert, which is no answer of HTTP.
    private static func isBrokenOff(_ reason: String) -> Bool {
        reason.contains("errno: \(ECONNRESET)") || reason.hasPrefix("bad answer") || reason.hasPrefix("the connection closed without an answer")
    }
}
