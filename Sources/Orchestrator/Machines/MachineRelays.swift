import Door
import Glibc
import Logging
import MachineAPI
import NIOCore
import NIOPosix
import Synchronization

/// The ways out of this host's machines: one relay for each boot that has a list, from before it is made until nothing is left
/// of it. A machine that outlives its orchestrator finds the next one's relay in the same folder, which stays.
final class MachineRelays: Sendable {
    private let directory: String
    private let group: MultiThreadedEventLoopGroup
    /// Of its own: resolving waits for servers that a connector may have chosen.
    private let resolvers = NIOThreadPool(numberOfThreads: 32)
    private let share: EgressShare
    private let book: EgressBook
    private let logger: Logger
    private let relays = Mutex<[String: EgressRelay]>([:])

    /// - Parameter book: counts what they say.
    init(directory: String, book: EgressBook, logger: Logger) {
        self.directory = directory
        self.book = book
        self.logger = logger
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        resolvers.start()
        share = EgressShare(resolvers: resolvers)
    }

    /// - Parameters:
    ///   - app: for which it is counted.
    ///   - slot: of the machine's user ids, whose first one is its agent's.
    /// - Returns: the folder to bind into the machine.
    func open(_ machine: String, app: String, slot: Int, list: EgressList) async throws -> String {
        let uid = UInt32(MachineSpec.uidBase(slot: slot))
        let folder = folder(of: machine)
        var logger = logger
        logger[metadataKey: "machine"] = "\(machine)"
        let relay = try await EgressRelay.start(
            directory: folder, peerUIDs: uid...uid, policy: EgressPolicy(list), group: group, share: share,
            tell: { [book] outcome, times in book.record(outcome, of: app, times: times) }, logger: logger)
        let old = relays.withLock { $0.updateValue(relay, forKey: machine) }
        await old?.end()
        return folder
    }

    /// Takes a machine's way out away; idempotent, and also for one that an earlier orchestrator opened.
    func close(_ machine: String) async {
        let relay = relays.withLock { $0.removeValue(forKey: machine) }
        await relay?.end()
        unlink(EgressRelay.socket(in: folder(of: machine)))
        rmdir(folder(of: machine))
    }

    /// What an app's machines reached, and what was refused to them.
    func counts(of app: String) async throws -> [EgressCount] { try await book.counts(of: app) }

    /// Machines live on; the sockets stay for the next orchestrator to replace.
    func shutdown() async {
        await book.end()
        try? await group.shutdownGracefully()
        try? await resolvers.shutdownGracefully()
    }

    private func folder(of machine: String) -> String { "\(directory)/\(machine)" }
}

extension MachineConfig {
    /// What the machine may reach; its text was checked when it came.
    var egress: EgressList {
        get throws(MachineFailure) {
            do {
                return try EgressList(berth?.egress ?? [], privateHosts: berth?.egress_private ?? [])
            } catch {
                throw MachineFailure(.invalid, "invalid", error.message, field: "config.berth.\(error.field)", hint: error.hint)
            }
        }
    }
}
