import NIOCore

/// What the streams of one legacy session have sent, kept for a client that lost its connection and comes back with `Last-Event-ID`
/// (revision 2025-11-25, Transports, "Resumability and Redelivery"). A pure value.
///
/// Bounded: the oldest messages go first, so that what stays of a call is its answer, which comes last.
struct EventHistory {
    static let maximumMessages = 512
    static let maximumBytes = 1 << 20
    /// How long after its end a stream can be read again.
    static let keptAfterEnd: TimeAmount = .seconds(60)
    /// How long a message of a stream that goes on is kept.
    static let keptWhileOpen: TimeAmount = .minutes(5)
    /// The stream that GET opens; those of calls have the calls' numbers, which begin at 1.
    static let sessionStream = 0

    struct Event: Equatable {
        var id: String
        var message: ByteBuffer
    }

    private struct Stream {
        var last = 0
        var endedAt: NIODeadline?
    }

    private struct Kept {
        var stream: Int
        var number: Int
        var message: ByteBuffer
        var sentAt: NIODeadline
    }

    private var streams: [Int: Stream] = [:]
    /// Of all streams, oldest first.
    private var kept: [Kept] = []
    private(set) var bytes = 0

    var isEmpty: Bool { streams.isEmpty }

    /// The id of an event without a message, from which everything that follows on the stream can be asked for.
    mutating func prime(_ stream: Int) -> String {
        next(stream)
    }

    /// Keeps a message that goes out on a stream.
    ///
    /// - Returns: The id of its event; nil when it is longer than all that may be kept.
    mutating func append(_ message: ByteBuffer, to stream: Int, now: NIODeadline) -> String? {
        guard message.readableBytes <= Self.maximumBytes else { return nil }
        let id = next(stream)
        // A copy: the message may be a slice of something much larger, which would be kept with it.
        let copy = ByteBuffer(bytes: message.readableBytesView)
        kept.append(Kept(stream: stream, number: streams[stream]?.last ?? 0, message: copy, sentAt: now))
        bytes += message.readableBytes
        if kept.count > Self.maximumMessages || bytes > Self.maximumBytes { makeRoom() }
        return id
    }

    /// Whether somebody can still ask for what followed on a stream.
    func keeps(_ stream: Int) -> Bool { streams[stream] != nil }

    /// A stream that had ended goes on.
    mutating func goOn(_ stream: Int) { streams[stream]?.endedAt = nil }

    /// Nothing more comes on a stream, or nobody is there to read it.
    mutating func end(_ stream: Int, now: NIODeadline) {
        if streams[stream]?.endedAt == nil { streams[stream]?.endedAt = now }
    }

    /// Forgets what nobody came back for.
    mutating func expire(now: NIODeadline) {
        let over = streams.filter { $0.value.endedAt.map { now - $0 >= Self.keptAfterEnd } ?? false }
        for stream in over.keys { streams[stream] = nil }
        let before = kept.count
        kept.removeAll { over[$0.stream] != nil || now - $0.sentAt >= Self.keptWhileOpen }
        if kept.count == before { return }
        bytes = kept.reduce(0) { $0 + $1.message.readableBytes }
    }

    /// What followed the event of an id on its own stream, as far as it is kept; nil when there is no such stream any more.
    func replay(after id: String) -> (stream: Int, events: [Event])? {
        guard let (stream, number) = Self.parse(id), let found = streams[stream], number <= found.last else { return nil }
        let missed = kept.filter { $0.stream == stream && $0.number > number }
        return (stream, missed.map { Event(id: Self.id(stream, $0.number), message: $0.message) })
    }

    private mutating func next(_ stream: Int) -> String {
        streams[stream, default: Stream()].last += 1
        return Self.id(stream, streams[stream]?.last ?? 0)
    }

    /// A quarter at once: taking single messages off the front costs as much as there are.
    private mutating func makeRoom() {
        var (count, freed) = (0, 0)
        while count < kept.count - 1, kept.count - count > Self.maximumMessages / 4 * 3 || bytes - freed > Self.maximumBytes / 4 * 3 {
            freed += kept[count].message.readableBytes
            count += 1
        }
        kept.removeFirst(count)
        bytes -= freed
    }

    private static func id(_ stream: Int, _ number: Int) -> String { "\(stream)-\(number)" }

    private static func parse(_ id: String) -> (stream: Int, number: Int)? {
        let parts = id.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let stream = Int(parts[0]), let number = Int(parts[1]), stream >= 0, number >= 0 else { return nil }
        return (stream, number)
    }
}
