import MachineAPI
import Synchronization

/// When each step of one start was over.
final class StartClock: Sendable {
    enum Step: Int, CaseIterable, Sendable { case row, root, create, start, agent, server }

    private let begin = ContinuousClock.now
    private let stamps = Mutex<[Step: ContinuousClock.Instant]>([:])

    /// The first time counts.
    func mark(_ step: Step, at time: ContinuousClock.Instant = .now) {
        stamps.withLock { if $0[step] == nil { $0[step] = time } }
    }

    /// `nil` while a step is missing; the agent's word may be.
    var stages: StartStages? {
        let stamps = stamps.withLock { $0 }
        guard let row = stamps[.row], let root = stamps[.root], let create = stamps[.create], let start = stamps[.start],
            let server = stamps[.server]
        else { return nil }
        // The agent may speak before the runtime that started it has ended.
        let agent = stamps[.agent].map { max($0, start) }
        func span(_ from: ContinuousClock.Instant, _ to: ContinuousClock.Instant) -> Double {
            Double(max(0, from.duration(to: to) / .microseconds(100)).rounded()) / 10
        }
        return StartStages(
            row_ms: span(begin, row), root_ms: span(row, root), create_ms: span(root, create), start_ms: span(create, start),
            agent_ms: agent.map { span(start, $0) }, server_ms: span(agent ?? start, server), total_ms: span(begin, server))
    }
}
