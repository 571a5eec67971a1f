import JSONText
import MCP
import NIOCore

/// The conversation with a server behind a URL, and the next one when it is lost, as a pure value: events in, actions out. It knows no
/// connection and no caller; what is said is `Back`'s, which it holds.
///
/// ```
/// unopened ─begin─► opening ─ready─► open(era)
///     ▲                │                └─404 of its session, another era by now, its one stream ended, too little declared ─┐
///     └────────────────┴─refused, nobody there───────────────────────────────────────────────────────────────────────────────┘
/// ```
struct RemoteSession {
    enum Action {
        /// What the protocol asks for.
        case perform([BackAction])
        /// Send the line as a request.
        case post(ByteBuffer)
        /// Open the stream of 2024-11-05, which says where to post.
        case openEventStream
        /// Open the stream of what a server says by itself, which it may refuse.
        case openStream(from: StreamPlace, after: TimeAmount)
        case closeStream
        /// Take up a call's stream where it ended.
        case takeUp(RemoteRequest, after: TimeAmount)
        /// How long lines may be held back.
        case arm(TimeAmount)
        case disarm
        /// Tell the server that the session in these fields is over.
        case leave([(String, String)])
        /// Everything under way belongs to a conversation that is over.
        case discard
        /// Everybody who waits is told.
        case fail(Undelivered)
        /// The conversation is over under its calls. One was not taken, and is said again in the next.
        case startOver(with: CallID?, from: Back, because: String)
    }

    enum Stage: Equatable { case unopened, opening, open(Era), closed }

    let limits: RemoteServer.Limits
    var back = RemoteSession.newBack()
    /// The server's own name for it, where it has one.
    var id: String?
    var transport = Transport.streamable
    /// Lines that wait: for where to post, or for `notifications/initialized` to arrive, which they must not overtake.
    var held: [ByteBuffer]?
    /// What `initialize` was refused with, as long as no other way to say it has proven to be one.
    var refusal: (handshake: Int, why: Undelivered)?
    /// The status of the last answer that was no MCP answer.
    var lastStatus: Int?
    /// The same with its content type.
    var lastAnswer: String?
    private var isClosed = false
    /// What the conversations so far have found out.
    private var knownEra = Back.EraChoice.auto
    private(set) var opening = Back.Opening.probe
    /// It, or one before it, has given results.
    private var hasServed = false
    /// What a session knew is lost, and no result has told so yet.
    private var isLossUntold = false

    init(limits: RemoteServer.Limits = RemoteServer.Limits()) { self.limits = limits }

    private static func newBack(_ era: Back.EraChoice = .auto, _ opening: Back.Opening = .probe) -> Back {
        Back(era: era, opening: opening, probeSeconds: 20)
    }

    var stage: Stage {
        if isClosed { return .closed }
        return back.era.map(Stage.open) ?? (back.isOpened ? .opening : .unopened)
    }

    /// Fields of every request of the handshake revisions.
    var headers: [(String, String)] { versionHeader + (id.map { [("mcp-session-id", $0)] } ?? []) }
    private var versionHeader: [(String, String)] { back.version.map { [("mcp-protocol-version", $0)] } ?? [] }

    // MARK: Beginning

    /// Speaks the client's era where the server has it. Before the first call.
    mutating func prefer(_ era: Era) {
        guard stage == .unopened, era == .legacy, knownEra == .auto else { return }
        opening = .handshake(isKnownModern: false)
        back = Self.newBack(knownEra, opening)
    }

    /// Another session has found out what the server speaks. Before the first call.
    mutating func know(_ era: Era) {
        guard stage == .unopened, era == .legacy else { return }
        knownEra = .legacy
        back = Self.newBack(knownEra, opening)
    }

    mutating func tellLoss() { isLossUntold = true }

    /// The server has served it, and remembers.
    var holdsState: Bool { hasServed && back.era == .legacy || isLossUntold }

    /// Somebody wants to be served who can be asked what these `capabilities` say.
    ///
    /// - Parameter isIdle: nobody waits for an answer.
    mutating func begin(declaring capabilities: ByteBuffer?, isIdle: Bool) -> [Action] {
        var actions: [Action] = []
        // A server of the handshake revisions knows only what its session was opened with.
        if back.isOpened, isIdle, back.suspendedCount + back.questionCount == 0, !back.serves(capabilities) {
            actions = leave() + [.discard]
            forget()
        }
        guard stage == .unopened else { return actions }
        if let capabilities { back.declare(capabilities) }
        return actions + [.perform(back.start())]
    }

    mutating func ready(_ era: Era) {
        (lastStatus, lastAnswer) = (nil, nil)
        refusal = nil
        opening = .probe
        // A stateless server is probed again: that costs nothing more, and it may become another.
        knownEra = era == .legacy ? .legacy : .auto
    }

    mutating func handshakeFailed(_ reason: String) -> [Action] { giveUp(refusal?.why ?? Undelivered(.notDelivered, reason)) }

    // MARK: Ending

    /// No answer can come any more: everybody who waits is told, and the next call begins anew.
    mutating func giveUp(_ why: Undelivered) -> [Action] {
        if !back.isReady { knownEra = .auto }
        let left = leave()
        forget()
        return left + [.discard, .fail(why)]
    }

    /// For good. The fields of the session that is over are returned, for whoever waits until the server has heard of it.
    mutating func close() -> (left: [(String, String)]?, actions: [Action]) {
        isClosed = true
        let left = id.map { _ in headers }
        id = nil
        return (left, giveUp(Undelivered(.outcomeUnknown, "the connection was closed")))
    }

    /// The connection that all answers come by ended. Calls that went out may have run; the others have not.
    mutating func connectionLost(_ reason: String) -> [Action] {
        guard back.isReady else { return giveUp(Undelivered(.notDelivered, reason)) }
        // What it knew is lost only as long as it is known to have been one that knows.
        var old = back
        let endings = (held ?? []).flatMap { line -> [BackAction] in
            // It waited here, and has not gone out.
            guard let id = RemoteRequest.id(of: line) else { return [] }
            let error = MCPError(Undelivered(.notDelivered, reason))
            return old.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), error))
        } + old.closed(reason: reason)
        forget()
        return [.discard, .perform(endings)]
    }

    /// Another conversation, in which a call that was not taken is said again. What else was under way may have run.
    mutating func startOver(with call: CallID?, because reason: String) -> [Action] {
        let old = back
        forget()
        return [.startOver(with: call, from: old, because: reason)]
    }

    private mutating func leave() -> [Action] {
        guard id != nil else { return [] }
        defer { id = nil }
        return [.leave(headers)]
    }

    private mutating func forget() {
        id = nil
        held = nil
        refusal = nil
        if case .eventStream = transport { transport = .awaitingEndpoint }
        if hasServed, back.era == .legacy { isLossUntold = true }
        hasServed = false
        back = Self.newBack(knownEra, opening)
    }

    // MARK: What it has been

    /// A result came.
    ///
    /// - Returns: Whether it is the one to tell that what an earlier session knew is lost.
    mutating func served(isOwn: Bool) -> Bool {
        hasServed = true
        guard isLossUntold, !isOwn else { return false }
        isLossUntold = false
        return true
    }

    /// A call was refused because the server speaks the other era by now.
    mutating func eraChanged(under call: CallID) -> [Action] {
        knownEra = .auto
        return startOver(with: call, because: "the server changed its protocol version")
    }

    /// Whether an error says that, by a code that no server of this era has.
    func isOfAnotherEra(_ error: MCPError) -> Bool {
        switch (back.era, error.code) {
        case (.legacy, MCPError.Code.headerMismatch), (.legacy, MCPError.Code.unsupportedProtocolVersion):
            return true
        case (.modern, MCPError.Code.unsupportedProtocolVersion):
            let supported = error.data.flatMap { try? JSONValue(parsing: $0.readableBytesSpan) }?["supported"]?.arrayValue
            return supported.map { !$0.contains(.string(ProtocolVersion.modern)) } ?? false
        default: return false
        }
    }
}
