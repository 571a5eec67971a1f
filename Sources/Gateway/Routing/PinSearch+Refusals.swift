import MachineAPI
import MCP

/// Why a call found no machine, in words that say what to do: a stable code, one line for the caller, and when it is worth trying again.
/// What the orchestrator itself says is for the log, as it may name images and hosts.
extension PinSearch.NotFound {
    static let queueFull = Self(reason: "too many calls wait for a machine of this connector", code: "queue_full", retryAfter: 2)

    static func late(_ seconds: Int64) -> Self {
        Self(reason: "no machine of this connector was ready within \(seconds) s", code: "starting", retryAfter: 5)
    }

    init(explaining error: any Error) {
        switch error {
        case let known as Self: self = known
        case let error as MachineAPIError: self.init(error)
        default: self.init(reason: "no machine could be started", code: "not_started")
        }
    }

    private init(_ error: MachineAPIError) {
        switch (error.status, error.code) {
        case (0, _): self.init(reason: "the orchestrator does not answer", code: "orchestrator_unavailable", retryAfter: 5)
        case (_, "going_down"): self.init(reason: "the host's machines are being stopped", code: "going_down", retryAfter: 30)
        case (404, _): self.init(reason: "the machine is not there any more", code: "unknown_machine", retryAfter: 1)
        case (408, _): self.init(reason: "the machine is still starting", code: "starting", retryAfter: 5)
        case (409, "lease_held"): self.init(reason: "somebody works on the connector's machine, which does not run", code: "leased", retryAfter: 30)
        case (_, "insufficient_capacity"), (503, "insufficient_memory"):
            self.init(reason: "the host has no room for another machine", code: "at_capacity", retryAfter: 10)
        case (400, "replaced"): self.init(reason: "the machine was replaced by another version", code: "replaced", retryAfter: 1)
        case (400, "unreachable_state"): self.init(reason: "the connector's machine did not start", code: "stopped", retryAfter: 10)
        default: self.init(reason: "no machine could be started", code: "not_started")
        }
    }
}

extension DoorAnswer.Loss {
    /// What a call that could not be delivered twice in a row is told besides.
    var code: String {
        switch self {
        case .unreachable: "stopped"
        case .wrongBoot: "replaced"
        case .draining: "draining"
        case .suspended: "suspended"
        }
    }
}
