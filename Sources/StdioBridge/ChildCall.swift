import JSONText
import MCP
import NIOCore

/// One call to a child: its sink, and what waits while that is paused.
final class ChildCall: MCPCall {
    let id: CallID
    let request: MCPRequest
    private weak var child: Child?
    private let sink: any MCPSink
    private let limits: BridgeLimits
    /// A subscription outlives the processes of its child; nobody waits for an answer to it.
    var isListen: Bool { request.method == "subscriptions/listen" }
    /// A subscription that its caller has heard of: the first message of one is its acknowledgement.
    var isAcknowledged = false
    /// A subscription that a process which is gone had acknowledged.
    var isResumed = false
    /// Whole on its way into the pipe; before that the child has not seen it.
    private(set) var written = false
    /// The child may have begun with it: always so for one that comes again with answers to its questions.
    var mayHaveRun: Bool { written || request.envelope.requestState != nil || request.envelope.inputResponses != nil }
    /// Told once, when that is so.
    var onDelivery: (() -> Void)?
    /// When its caller waits no longer.
    var deadline: NIODeadline?
    private var paused = false
    private(set) var isFinished = false
    private var waiting: CircularBuffer<ByteBuffer> = []
    private(set) var waitingBytes = 0
    /// What happens when it reads nothing for too long while much waits for it.
    var unreadTimer: Scheduled<Void>?
    /// Half of what may wait does: no more should come for now.
    var isBehind: Bool {
        waiting.count * 2 >= limits.queuedNotifications || waitingBytes * 2 >= limits.queuedNotificationBytes
    }

    init(id: CallID, request: MCPRequest, child: Child, sink: any MCPSink, limits: BridgeLimits) {
        self.id = id
        self.request = request
        self.child = child
        self.sink = sink
        self.limits = limits
    }

    func cancel() { child?.cancel(self) }

    func wasWritten() {
        written = true
        onDelivery?()
        onDelivery = nil
    }

    func resume() {
        guard paused, !isFinished else { return }
        paused = false
        while !paused, let next = waiting.popFirst() { send(next) }
        unreadTimer?.cancel()
        unreadTimer = nil
        child?.callDrained(self)
    }

    /// Takes a notification. `false`: the caller is too slow even for what may not be dropped.
    ///
    /// - Parameter isLast: its child's output has ended, which bounds what still comes.
    func notify(_ message: ByteBuffer, isLast: Bool = false) -> Bool {
        guard paused else {
            deliver(message)
            return true
        }
        // The other half is for what may not be dropped.
        if isBehind, Self.isProgress(message) { return true }
        let isFull = waiting.count >= limits.queuedNotifications || waitingBytes + message.readableBytes > limits.queuedNotificationBytes
        if isFull, !isLast { return false }
        waiting.append(message)
        waitingBytes += message.readableBytes
        return true
    }

    func finish(_ outcome: MCPOutcome) {
        guard !isFinished else { return }
        isFinished = true
        unreadTimer?.cancel()
        unreadTimer = nil
        onDelivery = nil
        // A result that waited behind a pause would hold its memory anyway: the sink bounds what it buffers.
        for message in waiting { _ = sink.notification(message) }
        waiting = []
        waitingBytes = 0
        sink.finish(outcome)
    }

    private func send(_ message: ByteBuffer) {
        waitingBytes -= message.readableBytes
        deliver(message)
    }

    private func deliver(_ message: ByteBuffer) {
        if sink.notification(message) == .pause { paused = true }
    }

    /// Good enough to choose what to drop: the method stands near the front of what servers write.
    static func isProgress(_ message: ByteBuffer) -> Bool {
        let head = String(decoding: message.readableBytesView.prefix(128), as: UTF8.self)
        return head.split(separator: "\"").contains("notifications/progress")
    }
}
