import Door
import Hummingbird
import MachineAPI

/// What an app's machines reached, and what they wanted to reach and may not: `GET …/apps/APP/berth/egress`.
struct EgressRoutes: Sendable {
    let orchestrator: MachineService

    func add(to router: Router<MachinesContext>) {
        let routes = MachineRoutes(orchestrator: orchestrator)
        router.group("v1").get("apps/:app/berth/egress") { _, context in
            let app = try await routes.app(context)
            return JSONAnswer(EgressAnswer(try await orchestrator.reconciler.host.relays?.counts(of: app.name) ?? []))
        }
    }
}

private struct EgressAnswer: Encodable, Sendable {
    struct Row: Encodable, Sendable {
        var host: String
        /// 0 where only the name was asked for.
        var port: Int
        /// Why it was refused; nil where it was reached.
        var reason: String?
        var count: Int
        var first: String
        var last: String
        /// The option that would allow it.
        var option: String?
    }

    /// Oldest first, ``MachineStore/egressLimit`` at most.
    var refused: [Row] = []
    /// Refusals of places beyond those.
    var others = 0
    var reached: [Row] = []
    var reached_others = 0

    init(_ counts: [EgressCount]) {
        for count in counts {
            let place = count.place
            let reason = EgressRefusal.Reason(rawValue: place.verdict)
            let row = Row(
                host: place.host, port: place.port, reason: reason?.rawValue, count: count.count, first: Timestamp.text(count.first),
                last: Timestamp.text(count.last), option: reason.flatMap { EgressRefusal(host: place.host, port: place.port, reason: $0).option })
            // A row that stands for many has neither host nor, of a refusal, a reason.
            switch (place.isReached, place == place.others) {
            case (true, false): reached.append(row)
            case (true, true): reached_others += count.count
            case (false, false): refused.append(row)
            case (false, true): others += count.count
            }
        }
    }
}
