import MachineAPI

/// Why a call found no machine, in words that say what to do.
extension NoMachine {
    static let queueFull = Self("too many calls wait for a machine of this connector", code: "queue_full", retryAfterSeconds: 2)

    static func late(_ seconds: Int64) -> Self {
        Self("no machine of this connector was ready within \(seconds) s", code: "starting", retryAfterSeconds: 5)
    }

    /// - Returns: nil for what is the log's alone.
    static func told(_ error: MachineAPIError) -> Self? {
        switch (error.status, error.code) {
        case (0, _): Self("the orchestrator does not answer", code: "orchestrator_unavailable", retryAfterSeconds: 5)
        case (_, "going_down"): Self("the host's machines are being stopped", code: "going_down", retryAfterSeconds: 30)
        case (404, _): Self("the machine is not there any more", code: "unknown_machine", retryAfterSeconds: 1)
        case (408, _): Self("the machine is still starting", code: "starting", retryAfterSeconds: 5)
        case (409, "lease_held"): Self("somebody works on the connector's machine, which does not run", code: "leased", retryAfterSeconds: 30)
        case (400, "replaced"): Self("the machine was replaced by another version", code: "replaced", retryAfterSeconds: 1)
        case (400, "unreachable_state"): Self("the connector's machine did not start", code: "stopped", retryAfterSeconds: 10)
        default: nil
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
