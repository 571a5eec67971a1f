import Door
import MachineAPI
import Sealing

/// Which principal's machine makes room for another's, where a connector has as many as it may: pure.
enum PrincipalRoom {
    /// One machine of a principal.
    struct Resident: Sendable, Equatable {
        var machine: String
        /// It does not run: since when, RFC 3339 in UTC, whose order is the time's.
        var stoppedSince: String?
        /// It runs: how long nobody has called; nil while somebody does, and where that is not known.
        var idle: Duration?
    }

    /// How long a machine must have been idle to be taken from its principal: two that take turns must not take it from each other with
    /// every call.
    static let rest = Duration.seconds(30)

    /// Who gives way, first to be asked first: what does not run for longest, then what is idle for longest.
    static func order(_ residents: [Resident], rest: Duration = rest) -> [Resident] {
        let stopped = residents.filter { $0.stoppedSince != nil }.sorted { ($0.stoppedSince ?? "", $0.machine) < ($1.stoppedSince ?? "", $1.machine) }
        let idle = residents.filter { $0.stoppedSince == nil && $0.idle.map { $0 >= rest } ?? false }
            .sorted { ($0.idle ?? .zero) == ($1.idle ?? .zero) ? $0.machine < $1.machine : ($0.idle ?? .zero) > ($1.idle ?? .zero) }
        return stopped + idle
    }

    /// After how many seconds it is worth asking again.
    static func retryAfter(_ residents: [Resident], rest: Duration = rest) -> Int {
        let soonest = residents.compactMap { $0.idle.map { rest - $0 } }.min() ?? .seconds(10)
        return max(1, min(60, Int(soonest.components.seconds) + 1))
    }

    /// The name of a principal's machine: the same for every gateway, so that none makes a second one, and never another principal's.
    static func name(generation: Int, principal: String) throws -> String {
        "g\(generation)-\(try SHA256.hex(principal).prefix(40))"
    }
}

extension Machine {
    /// The one whose sessions alone it serves.
    var principal: String? { config.metadata?["berth_principal"] }

    /// It has a process of its own, or is about to.
    var isLive: Bool { [.started, .starting, .replacing].contains(state) }
}
