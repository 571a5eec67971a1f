public import NIOCore

/// The bridge's own number of a call; never leaves the process.
public struct CallID: Hashable, Sendable {
    public var rawValue: Int

    public init(_ rawValue: Int) {
        self.rawValue = rawValue
    }
}

/// What a `Back` wants done, in order.
public enum BackAction: Sendable {
    /// Write this line, newline included, to the child.
    case write(ByteBuffer)
    /// Give this whole notification to the call's sink.
    case notify(CallID, ByteBuffer)
    /// The call is over; nothing more comes for it.
    case finish(CallID, MCPOutcome)
    /// The handshake is done.
    case ready(ServerIdentity, Era)
    /// The child ended over an era that it does not speak, or is silent and to be ended: start a new process, then call `start()` again.
    case restartForEra
    /// The child does not speak the protocol or refused the handshake: end it. Every call was finished.
    case handshakeFailed(String)
    /// A line that is no message, or a stray one: an answer to what the child was never asked.
    case noise(ByteBuffer, isStray: Bool)
    case armTimer(BackTimer, seconds: Int)
    case disarmTimer(BackTimer)
    /// A notification that belongs to no call: a list changed, a resource was updated.
    case broadcast(ByteBuffer)
}

/// Timers that a `Back` asks for.
public enum BackTimer: Sendable, Hashable {
    /// How long a silent child is taken for a modern one.
    case probe
    /// How long the handshake may take.
    case handshake
    /// How long the call under this handle waits for its client's answers.
    case input(String)
}

/// What was dropped, for diagnostics.
public struct BackCounters: Sendable, Equatable {
    /// Answers to calls that were cancelled before.
    public var lateAnswers = 0
    /// Answers to ids that were never given.
    public var unknownAnswers = 0
    /// Lines that were no messages.
    public var noise = 0
    /// Requests of the child that were refused.
    public var refusedRequests = 0
    /// Notifications that belonged to no call.
    public var droppedNotifications = 0

    public init() {}
}
