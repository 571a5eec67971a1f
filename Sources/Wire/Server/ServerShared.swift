import NIOCore
import Synchronization

/// What the loops of one server count together.
final class ServerShared: Sendable {
    let connections: ConnectionCount
    /// Connections, of any loop, that may be closed to make room before anybody's who is trusted.
    let strangers = Atomic<Int>(0)
    /// Bodies of requests, from their first bytes to the end of the answer.
    let bodies: ByteBudget
    /// Answers that wait for their client to read.
    let output: ByteBudget

    init(limits: ServerLimits) {
        connections = ConnectionCount(limit: limits.connections, perAddress: limits.connectionsPerAddress, shared: limits.sharedAddresses)
        bodies = ByteBudget(perPayer: limits.bodyBytesPerPayer, total: limits.bodyBytesInAll)
        output = ByteBudget(perPayer: limits.unreadBytesPerPayer, total: limits.unreadBytesInAll)
    }
}

/// Connections of a server: in all, and for each peer's address.
final class ConnectionCount: Sendable {
    enum Answer {
        case entered
        /// There are as many as there may be in all.
        case full
        /// There are as many as there may be from this address.
        case addressFull
    }

    private struct Counts {
        var total = 0
        var perAddress: [IPAddress: Int] = [:]
    }

    private let limit: Int
    private let perAddress: Int?
    private let shared: [AddressBlock]
    private let counts = Mutex(Counts())

    init(limit: Int, perAddress: Int?, shared: [AddressBlock]) {
        self.limit = limit
        self.perAddress = perAddress
        self.shared = shared
    }

    /// What a peer is counted by: its address, the network of an IPv6 one, of which a single host has 2^64. Nil for the
    /// host itself and for proxies, behind which anybody may be.
    func key(of peer: SocketAddress?) -> IPAddress? {
        guard perAddress != nil, let address = peer?.ipAddress.flatMap({ IPAddress($0) })?.unmapped, !address.isLoopback,
            !shared.contains(where: { $0.contains(address) })
        else { return nil }
        if case .v6(let bytes) = address { return .v6(bytes[..<8] + [UInt8](repeating: 0, count: 8)) }
        return address
    }

    /// - Parameter overLimit: Room has been made, but what goes is counted until it has gone.
    func enter(_ address: IPAddress?, overLimit: Bool = false) -> Answer {
        counts.withLock { counts in
            if !overLimit {
                if counts.total >= limit { return .full }
                if let address, let perAddress, counts.perAddress[address, default: 0] >= perAddress { return .addressFull }
            }
            counts.total += 1
            if let address { counts.perAddress[address, default: 0] += 1 }
            return .entered
        }
    }

    func leave(_ address: IPAddress?) {
        counts.withLock { counts in
            counts.total -= 1
            guard let address else { return }
            let left = counts.perAddress[address, default: 1] - 1
            counts.perAddress[address] = left > 0 ? left : nil
        }
    }
}
