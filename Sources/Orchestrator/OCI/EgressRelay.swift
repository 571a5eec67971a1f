import CLinux
import Door
import Foundation
import Glibc
import Logging
import NIOCore
import NIOPosix
import Sealing
import Synchronization
import Wire

/// What became of a connection that a machine asked for.
enum EgressOutcome: Sendable, Equatable {
    case reached(host: String, port: Int)
    case refused(EgressRefusal)
}

/// The one way out of a machine without a network: a unix socket in a folder that is bound read-only at `/run/berth`.
///
/// The machine's agent writes `CONNECT host:port`; the relay checks the name against the list, resolves it itself, drops
/// every address that is not public, connects to the address that it checked, and then carries bytes.
public final class EgressRelay: Sendable {
    /// The folder to bind into the machine.
    public let directory: String

    private let listener: any Channel
    private let context: Context

    /// Shared by the connections of one relay.
    final class Context: Sendable {
        let policy: EgressPolicy
        let peerUIDs: ClosedRange<UInt32>
        let logger: Logger
        private let share: EgressShare
        private let tell: @Sendable (EgressOutcome, Int) -> Void
        private let turns = Turns(limit: 2)
        private let state = Mutex((ledger: EgressLedger(), connections: 0))

        /// - Parameter tell: hears of everything that was let through or refused, and how often.
        init(
            policy: EgressPolicy, peerUIDs: ClosedRange<UInt32>, share: EgressShare = EgressShare(alone: 256),
            tell: @escaping @Sendable (EgressOutcome, Int) -> Void = { _, _ in }, logger: Logger
        ) {
            self.tell = tell
            self.policy = policy
            self.peerUIDs = peerUIDs
            self.share = share
            self.logger = logger
        }

        /// Different ones are logged, the first ones: what asks again and again must not fill the disk.
        func refuse(_ refusal: EgressRefusal, times: Int = 1) {
            tell(.refused(refusal), times)
            let (isNew, isLast) = state.withLock { state in
                let isNew = state.ledger.record(refusal, times: times, at: WallClock.milliseconds())
                return (isNew, isNew && state.ledger.rows.count == EgressLedger.limit)
            }
            guard isNew else { return }
            logger.warning(
                "egress refused",
                metadata: ["host": "\(refusal.host)", "port": "\(refusal.port)", "reason": "\(refusal.reason.rawValue)"])
            if isLast { logger.warning("further refusals of this machine are not logged") }
        }

        func passed(_ destination: EgressDestination) { tell(.reached(host: destination.host, port: destination.port), 1) }

        var ledger: EgressLedger { state.withLock { $0.ledger } }

        func enter() -> Bool {
            state.withLock { state in
                guard state.connections < share.each, share.enter() else { return false }
                state.connections += 1
                return true
            }
        }

        func leave() {
            share.leave()
            state.withLock { $0.connections -= 1 }
        }

        /// The addresses that may be connected to; on threads that may wait.
        func addresses(of destination: EgressDestination, on loop: any EventLoop) -> EventLoopFuture<[SocketAddress]> {
            let promise = loop.makePromise(of: [SocketAddress].self)
            turns.begin { [share, turns] in
                share.resolvers.runIfActive(eventLoop: loop) { try EgressResolver.resolve(destination) }.whenComplete { result in
                    turns.end()
                    promise.completeWith(result)
                }
            }
            return promise.futureResult
        }
    }

    private init(directory: String, listener: any Channel, context: Context) {
        self.directory = directory
        self.listener = listener
        self.context = context
    }

    /// Listens at `<directory>/egress.sock`.
    ///
    /// - Parameters:
    ///   - directory: made if missing; nothing else should be in it, since the machine sees it.
    ///   - peerUIDs: host user ids that may connect; the socket belongs to the first. A machine's agent has
    ///     `MachineSpec.uidBase(slot:)`.
    static func start(
        directory: String, peerUIDs: ClosedRange<UInt32>, policy: EgressPolicy, group: any EventLoopGroup,
        share: EgressShare = EgressShare(alone: 256), tell: @escaping @Sendable (EgressOutcome, Int) -> Void = { _, _ in }, logger: Logger
    ) async throws -> EgressRelay {
        try Files.makeDirectories(directory, mode: 0o755)
        let path = socket(in: directory)
        let context = Context(policy: policy, peerUIDs: peerUIDs, share: share, tell: tell, logger: logger)
        let socket = try HostSocket.listen(path, owner: peerUIDs.lowerBound, group: peerUIDs.lowerBound, mode: 0o600, backlog: 256)
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(EgressConnection(context: context))
                }
            }
            .withBoundSocket(socket.release())
            .get()
        return EgressRelay(directory: directory, listener: listener, context: context)
    }

    /// What was refused until now, for the message of whoever asked the machine to run.
    public func refusals() -> [EgressRefusal] { context.ledger.rows.map(\.refusal) }

    /// Takes no more connections and removes the socket; running ones end with the machine.
    public func stop() async {
        await end()
        unlink(Self.socket(in: directory))
    }

    /// Takes no more connections. The socket may be another relay's by now.
    func end() async { try? await listener.close() }

    static func socket(in directory: String) -> String { directory + "/egress.sock" }
}

/// Resolves names and keeps the addresses that may be connected to. Waits.
enum EgressResolver {
    struct Refused: Error { let reason: EgressRefusal.Reason }

    private static let addressLimit = 6

    static func resolve(_ destination: EgressDestination) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        // Of the host's search list a name with a dot takes nothing: it would lead to another name than the one that is allowed.
        clinux_resolve_as_written(destination.host.contains(".") ? 1 : 0)
        guard getaddrinfo(destination.host, String(destination.port), &hints, &list) == 0 else { throw Refused(reason: .unresolved) }
        defer { freeaddrinfo(list) }
        let own = AddressPolicy.hostAddresses()
        var addresses: [SocketAddress] = []
        var wouldBePrivate = false
        var next = list
        while let entry = next?.pointee {
            if let address = entry.ai_addr.flatMap({ IPAddress(UnsafePointer($0)) }) {
                if AddressPolicy.isAllowed(address, reach: destination.reach, own: own) {
                    addresses.append(try SocketAddress(ipAddress: address.description, port: destination.port))
                } else {
                    wouldBePrivate = wouldBePrivate || AddressPolicy.isAllowed(address, reach: .privateToo, own: own)
                }
            }
            next = entry.ai_next
        }
        guard !addresses.isEmpty else { throw Refused(reason: wouldBePrivate ? .notGlobal : .special) }
        // Each may take its time to not answer.
        return Array(addresses.prefix(addressLimit))
    }
}
