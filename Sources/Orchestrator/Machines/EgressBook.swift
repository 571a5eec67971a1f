import Door
import Logging
import Sealing
import Synchronization

/// Counts for each app what its machines reached and what was refused to them: through boots, machines and orchestrators.
///
/// What comes is added up in memory and written a little later, all of it at once; what a killed orchestrator had not
/// written yet is lost, and that is of two seconds at most.
final class EgressBook: Sendable {
    /// Different places of one app in memory until they are written; further ones wait as `others`.
    static let pendingLimit = 512
    static let pause = Duration.seconds(2)

    /// Places that were counted and are not yet written.
    struct Pending: Sendable, Equatable {
        var counts: [EgressPlace: Int] = [:]
        var last: [EgressPlace: Int64] = [:]
    }

    private struct State {
        var apps: [String: Pending] = [:]
        var writer: Task<Void, Never>?
        var isEnded = false
    }

    private let store: MachineStore
    private let logger: Logger
    private let state = Mutex(State())

    init(store: MachineStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    func record(_ outcome: EgressOutcome, of app: String, times: Int) {
        let now = WallClock.milliseconds()
        state.withLock { state in
            guard !state.isEnded else { return }
            var place = EgressPlace(outcome)
            let pending = state.apps[app, default: Pending()]
            if pending.counts[place] == nil, pending.counts.count >= Self.pendingLimit { place = place.others }
            state.apps[app, default: Pending()].counts[place, default: 0] += times
            state.apps[app]?.last[place] = now
            if state.writer == nil { state.writer = Task { [weak self] in await self?.write(after: Self.pause) } }
        }
    }

    /// Writes what there is, at once.
    func write() async { await write(after: .zero) }

    /// What an app's machines reached and what was refused to them.
    func counts(of app: String) async throws -> [EgressCount] {
        await write()
        return try await store.egressCounts(of: app)
    }

    /// Writes what there is; nothing is counted any more.
    func end() async {
        let writer = state.withLock { state in
            state.isEnded = true
            return state.writer
        }
        writer?.cancel()
        await writer?.value
        await write()
    }

    private func write(after pause: Duration) async {
        // One that is cancelled writes at once.
        if pause > .zero { try? await Task.sleep(for: pause) }
        let taken = state.withLock { state in
            defer { state.apps = [:] }
            if pause > .zero { state.writer = nil }
            return state.apps
        }
        guard !taken.isEmpty else { return }
        // Of its own: a writer that was told to make haste is cancelled, and its rows must not be.
        await Task { [store, logger] in
            do {
                try await store.addEgress(taken)
            } catch {
                logger.error("what machines reached, and what was refused, is not counted", metadata: ["error": "\(error)"])
            }
        }.value
    }
}

/// Where a machine wanted to go, and what became of it.
struct EgressPlace: Sendable, Hashable {
    /// Empty: places beyond those that have rows of their own.
    var host: String
    /// 0 where only the name was asked for.
    var port: Int
    /// ``reached``, or the reason of a refusal.
    var verdict: String

    static let reached = "reached"
    /// Refusals without a row of their own.
    static let refused = "refused"

    init(host: String, port: Int, verdict: String) {
        (self.host, self.port, self.verdict) = (host, port, verdict)
    }

    init(_ outcome: EgressOutcome) {
        switch outcome {
        case .reached(let host, let port): self.init(host: host, port: port, verdict: Self.reached)
        case .refused(let refusal): self.init(host: refusal.host, port: refusal.port, verdict: refusal.reason.rawValue)
        }
    }

    var isReached: Bool { verdict == Self.reached }

    /// Where it is counted when there is no room for a row of its own.
    var others: EgressPlace { EgressPlace(host: "", port: 0, verdict: isReached ? Self.reached : Self.refused) }
}

/// A row of `egress_counts`.
struct EgressCount: Sendable, Equatable {
    var place: EgressPlace
    var count: Int
    /// Milliseconds since 1970.
    var first: Int64
    var last: Int64
}
