import MachineAPI
import MCP

/// Why a call has no machine: for the caller, so that it names neither images nor hosts.
struct NoMachine: Equatable, Sendable, ExpressibleByStringLiteral {
    var text: String
    /// For programs.
    var code: String?
    var retryAfterSeconds: Int?

    init(_ text: String, code: String? = nil, retryAfterSeconds: Int? = nil) {
        self.text = text
        self.code = code
        self.retryAfterSeconds = retryAfterSeconds
    }

    init(stringLiteral text: String) { self.init(text) }

    /// What came of a search. Most of what the orchestrator says is for the log.
    init(explaining error: any Error) {
        switch error {
        case let error as PinSearch.NotFound: self.init(error.reason)
        case let error as MachineAPIError where error.isFull:
            let wait = error.retryAfterSeconds ?? 5
            self.init("this host has no memory left for the connector's machine; try again in \(wait) s", code: error.reason ?? error.code, retryAfterSeconds: wait)
        case let error as MachineAPIError where error.message.contains("oom_killed"):
            self.init("the connector's server ran out of its machine's memory at its start (oom_killed; --memory gives it more)", code: "oom_killed")
        default: self = "no machine could be started"
        }
    }

    var undelivered: Undelivered { Undelivered(.notDelivered, text, code: code, retryAfterSeconds: retryAfterSeconds) }
}

extension MachineAPIError {
    /// The host has no room for another machine now.
    var isFull: Bool { status == 503 && code == "insufficient_capacity" }
}
