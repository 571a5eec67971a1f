import Door
import FoundationEssentials
import Logging
import MachineAPI
import Sealing
import Synchronization

/// Looks after connectors' machines, from time to time and after every change of the directory. Of those that are principals' own: whoever
/// may not use a connector any more loses his machine of it, and one that nobody has needed for long goes. Of the others: their number. Of
/// connectors that were updated: the machines whose sessions stayed.
final class MachineKeeper: Sendable {
    private struct State {
        var directory = Directory.empty
        var task: Task<Void, Never>?
    }

    private let provider: MachineProvider
    private let numbers: MachineNumbers
    private let old: OldMachines
    private let interval: Duration
    /// How long a machine is kept that does not run.
    private let keep: Duration
    private let logger: Logger
    private let state = Mutex(State())
    private let signal: AsyncStream<Void>.Continuation
    private let signals: AsyncStream<Void>

    static let keep = Duration.seconds(86_400)

    init(
        provider: MachineProvider, numbers: MachineNumbers, old: OldMachines, interval: Duration = .seconds(15), keep: Duration = keep,
        logger: Logger
    ) {
        self.old = old
        self.provider = provider
        self.numbers = numbers
        self.interval = interval
        self.keep = keep
        self.logger = logger
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Begins, once.
    func start() {
        let task = Task { [signals] in
            await withDiscardingTaskGroup { group in
                group.addTask { [interval, signal] in
                    while (try? await Task.sleep(for: interval)) != nil { signal.yield() }
                }
                for await _ in signals { await self.sweep() }
                group.cancelAll()
            }
        }
        state.withLock { $0.task = task }
    }

    /// What it goes by.
    var directory: Directory { state.withLock { $0.directory } }

    /// What is allowed has changed. Two that are built at once may come in the wrong order: an older one says what was allowed before.
    func publish(_ directory: Directory) {
        state.withLock { state in
            if directory.version >= state.directory.version { state.directory = directory }
        }
        signal.yield()
    }

    /// Returns when the task has ended.
    func stop() async {
        signal.finish()
        let task = state.withLock { $0.task }
        task?.cancel()
        await task?.value
    }

    private func sweep() async {
        let directory = state.withLock { $0.directory }
        let now = WallClock.milliseconds()
        numbers.forget(allBut: Set(directory.connectors.values.map(\.app)))
        for connector in directory.connectors.values {
            if connector.generation > 1 {
                do {
                    try await old.retire(connector)
                } catch {
                    logger.error("a machine of the version before stays", metadata: ["connector": "\(connector.name)", "error": "\(error)"])
                }
            }
            guard connector.isolation == .principal else {
                do {
                    try await numbers.tend(connector)
                } catch {
                    logger.error(
                        "a connector has not as many machines as it should", metadata: ["connector": "\(connector.name)", "error": "\(error)"])
                }
                continue
            }
            let allowed = directory.principals(of: connector.name, at: now)
            let oldest = now - keep.components.seconds * 1_000
            do {
                try await numbers.tell(connector)
                try await provider.destroy(app: connector.app) { machine in
                    // The probe's goes when the probe is over.
                    guard let principal = machine.principal, principal != DoorPrincipal.prober else { return false }
                    guard allowed.contains(principal) else { return true }
                    return [.stopped, .failed].contains(machine.state) && machine.since.map { $0 < oldest } ?? false
                }
            } catch {
                logger.error("machines of principals are not looked after", metadata: ["connector": "\(connector.name)", "error": "\(error)"])
            }
        }
    }
}

extension Directory {
    /// Who may use a connector now.
    func principals(of connector: String, at now: Int64) -> Set<String> {
        let slugs = Set(virtualMCPs.values.filter { $0.connectors.contains(connector) }.map(\.slug))
        return Set(
            grants.values.compactMap { grant in
                guard case .virtualMCP(let slug) = grant.scope, slugs.contains(slug), grant.isCurrent(at: now) else { return nil }
                return grant.principal
            })
    }
}

extension Machine {
    /// Since when it is in its state, in milliseconds since 1970.
    fileprivate var since: Int64? {
        (berth?.since).flatMap { try? Date($0, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }
            .map { Int64($0.timeIntervalSince1970 * 1_000) }
    }
}
