import MachineAPI
import Synchronization

/// How much of the host's memory its machines may be promised together.
public enum MemoryBudgetSetting: Sendable, Equatable, CustomStringConvertible {
    /// Of the memory that the host has, in hundredths.
    case percent(Int)
    case mebibytes(Int)

    public static let standard = MemoryBudgetSetting.percent(80)

    /// `80%`, or a number of MiB; nil for what is neither, or is no sensible one.
    public init?(_ text: String) {
        guard let number = Int(text.hasSuffix("%") ? text.dropLast() : text[...]) else { return nil }
        if text.hasSuffix("%") {
            guard (1...100).contains(number) else { return nil }
            self = .percent(number)
        } else {
            guard (64...(1 << 30)).contains(number) else { return nil }
            self = .mebibytes(number)
        }
    }

    public var description: String {
        switch self {
        case .percent(let number): "\(number)%"
        case .mebibytes(let number): "\(number)"
        }
    }

    func bytes(of total: Int) -> Int {
        switch self {
        case .percent(let number): total / 100 * number
        case .mebibytes(let number): number << 20
        }
    }
}

/// Who may start: the memory limits of all machines that hold memory, or are about to, are within the budget, and the host has some
/// left. A machine's share is its limit, from before its start until nothing of it is left; one that is suspended keeps it.
///
/// One lock, under which a share is looked at and taken: of starts at once only as many succeed as there is room for.
final class MemoryBudget: Sendable {
    /// Stays available on the host, whatever is started.
    static let reserve = 512 << 20
    /// When somebody who was refused may ask again.
    static let retryAfterSeconds = 5

    private struct Share {
        var bytes: Int
        /// Its memory shows in what the host has available.
        var isSettled: Bool
    }

    let setting: MemoryBudgetSetting
    private let memory: @Sendable () -> HostMemory
    private let shares = Mutex<[String: Share]>([:])

    /// - Parameter memory: asked at every start; it may change, as a container's does.
    init(_ setting: MemoryBudgetSetting = .standard, memory: @escaping @Sendable () -> HostMemory = HostMemory.now) {
        self.setting = setting
        self.memory = memory
    }

    /// Takes a machine's share, or changes it; one that has enough is not looked at again.
    ///
    /// - Throws: 503 `insufficient_capacity` with the reason `memory_budget` or `host_memory`; nothing has changed then.
    func take(_ owner: String, bytes: Int) throws(MachineFailure) {
        let host = memory()
        let failure = shares.withLock { shares -> MachineFailure? in
            let old = shares[owner]
            if let old, old.bytes >= bytes {
                shares[owner]?.bytes = bytes
                return nil
            }
            let sum = shares.reduce(0) { $0 + ($1.key == owner ? 0 : $1.value.bytes) }
            let budget = setting.bytes(of: host.total)
            guard sum + bytes <= budget else {
                return Self.refusal(
                    "memory_budget",
                    "\(bytes >> 20) MiB more would pass this host's memory budget: \(sum >> 20) of \(budget >> 20) MiB are promised to \(shares.count) machines",
                    hint: "stop machines, or raise the budget: berth up --memory-budget (an update starts its machine beside the one that serves)")
            }
            // What is starting has not taken yet what it may.
            let coming = shares.reduce(0) { $0 + ($1.key == owner || $1.value.isSettled ? 0 : $1.value.bytes) }
            let more = bytes - (old?.isSettled == true ? old?.bytes ?? 0 : 0)
            guard host.available - coming - more >= Self.reserve else {
                return Self.refusal(
                    "host_memory",
                    "\(bytes >> 20) MiB more would leave less than \(Self.reserve >> 20) MiB available on this host, which has \(host.available >> 20) MiB"
                        + (coming > 0 ? " and gives \(coming >> 20) MiB of them to machines that are starting" : ""),
                    hint: "free memory on the host, or stop machines")
            }
            shares[owner] = Share(bytes: bytes, isSettled: old?.isSettled ?? false)
            return nil
        }
        if let failure { throw failure }
    }

    /// Of what runs already: it has its memory, whatever the budget is now.
    func hold(_ owner: String, bytes: Int) { shares.withLock { $0[owner] = Share(bytes: bytes, isSettled: true) } }

    /// It is ready: from here on what it uses shows in what the host has available.
    func settle(_ owner: String) { shares.withLock { $0[owner]?.isSettled = true } }

    /// Nothing of it is left.
    func release(_ owner: String) { shares.withLock { $0[owner] = nil } }

    var report: MemoryReport {
        let host = memory()
        let (sum, count) = shares.withLock { shares in (shares.reduce(0) { $0 + $1.value.bytes }, shares.count) }
        let budget = setting.bytes(of: host.total)
        return MemoryReport(
            setting: setting.description, budget: budget, promised: sum, machines: count, headroom: max(0, budget - sum), host_total: host.total,
            host_available: host.available, host_reserve: Self.reserve)
    }

    /// The largest machine that could ever start.
    var largest: Int { setting.bytes(of: memory().total) }

    private static func refusal(_ reason: String, _ message: String, hint: String) -> MachineFailure {
        var failure = MachineFailure(.unavailable, "insufficient_capacity", message, hint: hint, details: ["reason": reason])
        failure.retryAfterSeconds = retryAfterSeconds
        return failure
    }
}
