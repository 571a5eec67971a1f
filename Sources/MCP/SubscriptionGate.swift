import JSONText
import NIOCore

/// What reaches a subscriber, whatever its server sends: the acknowledgement, first and once, and of the rest what was asked for and granted.
struct SubscriptionGate {
    /// Changes that came before the acknowledgement at most; they are told after it.
    private static let maximumEarly = 64
    private static let maximumEarlyBytes = 64 << 10

    private let wanted: ListenFilter
    private(set) var granted: ListenFilter?
    private var early: [(envelope: Envelope, message: ByteBuffer)] = []
    private var earlyBytes = 0

    /// It is a session's own, whose server may say anything once it has acknowledged.
    private let hearsAll: Bool

    init(_ wanted: ListenFilter, hearsAll: Bool = false) {
        self.wanted = wanted
        self.hearsAll = hearsAll
    }

    /// - Returns: What to pass on of a message, in order.
    mutating func pass(_ message: ByteBuffer) -> [ByteBuffer] {
        guard let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan) else { return [] }
        if envelope.method == "notifications/subscriptions/acknowledged" { return acknowledged(envelope, message) }
        if hearsAll, granted != nil { return [message] }
        if let granted { return granted.wants(envelope.method ?? "", uri: envelope.uri) ? [message] : [] }
        // Of two equal ones the second says nothing.
        guard early.count < Self.maximumEarly, earlyBytes + message.readableBytes <= Self.maximumEarlyBytes, wanted.wants(envelope.method ?? "", uri: envelope.uri),
            !early.contains(where: { $0.envelope.method == envelope.method && $0.envelope.uri == envelope.uri })
        else { return [] }
        // A copy: what the message was read with would be kept with it.
        early.append((envelope, ByteBuffer(bytes: message.readableBytesView)))
        earlyBytes += message.readableBytes
        return []
    }

    private mutating func acknowledged(_ envelope: Envelope, _ message: ByteBuffer) -> [ByteBuffer] {
        guard granted == nil else { return [] }
        let told = (try? ListenFilter(of: envelope, message)) ?? ListenFilter()
        let granted = told.intersection(wanted)
        self.granted = granted
        let id = envelope.subscriptionID.map(message.slice) ?? ByteBuffer(string: "null")
        let first = told == granted ? message : Subscription.acknowledged(granted, id: id)
        defer { early = [] }
        return [first] + early.filter { granted.wants($0.envelope.method ?? "", uri: $0.envelope.uri) }.map(\.message)
    }
}
