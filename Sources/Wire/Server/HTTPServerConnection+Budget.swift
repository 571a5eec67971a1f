import NIOCore
import NIOHTTP1
import Synchronization

extension HTTPServerConnection {
    /// What the server knows of the client beyond its bytes.
    struct Standing {
        /// It once showed what the delegate trusts.
        var isTrusted = false
        /// Who pays for the present request; nil as long as nobody needed to know.
        var payer: String?
        /// What it is counted by among the connections.
        var address: IPAddress?
        /// Since the last answer, or since it connected.
        var quietSince = NIODeadline.now()
        var body = ByteCharge()
        var output = ByteCharge()
        /// It is about to be cut to make room.
        var isCondemned = false
        var isCountedAsStranger = false
    }

    /// Bodies up to this size that come at once are not counted: that would cost more than they do.
    private static let smallBody = 64 << 10

    var idleTimeout: TimeAmount { standing.isTrusted ? limits.idleTimeout : limits.strangerIdleTimeout ?? limits.idleTimeout }

    func trust(payer: String) {
        standing.isTrusted = true
        standing.payer = payer
    }

    /// Nobody whom the delegate trusts, and no answer is being made.
    var isStrangers: Bool {
        switch phase {
        case .idle, .collecting, .lingering: !standing.isTrusted && !standing.isCondemned
        case .serving, .closed: false
        }
    }

    /// To be called after every change of what `isStrangers` looks at.
    func countStranger() {
        guard isStrangers != standing.isCountedAsStranger else { return }
        standing.isCountedAsStranger.toggle()
        shared.strangers.wrappingAdd(standing.isCountedAsStranger ? 1 : -1, ordering: .relaxed)
    }

    var isIdle: Bool {
        if case .idle = phase { return !standing.isCondemned }
        return false
    }

    /// `distantFuture` of who keeps up.
    var stalledSince: NIODeadline { output.stalledSince ?? .distantFuture }

    // MARK: Bodies

    /// Refuses a body at its head when there is no room for it now.
    func hasRoom(for length: Int, payer: String) -> Bool {
        guard let shortage = shared.bodies.shortage(of: length, payer: payer) else { return true }
        refuse(shortage)
        return false
    }

    /// Charges what has arrived of a body to who sends it, and refuses the request when that is too much.
    func charge(body bytes: Int, of head: HTTPRequestHead, isWhole: Bool = false) -> Bool {
        guard !shared.bodies.isUnlimited, bytes > (isWhole && standing.body.bytes == 0 ? Self.smallBody : 0) else { return true }
        let payer = standing.payer ?? delegate.payer(of: head, peer: peer)
        standing.payer = payer
        guard let shortage = standing.body.set(to: bytes, payer: payer, in: shared.bodies) else { return true }
        refuse(shortage)
        return false
    }

    private func refuse(_ shortage: ByteBudget.Shortage) {
        let text: StaticString =
            switch shortage {
            case .payer: #"{"error":"too_many_bytes","message":"your requests under way are too large together","hint":"wait for answers"}"#
            case .total: #"{"error":"busy","message":"the requests under way are too large together","hint":"try again"}"#
            }
        refuse(
            shortage == .payer ? 429 : 503, headers: [("content-type", "application/json"), ("retry-after", "1")],
            body: ByteBuffer(staticString: text))
    }

    // MARK: Output

    /// Charges what waits for the client; if that is too much, whoever has not read for longest goes.
    func chargeOutput() {
        guard let context, !standing.isCondemned, !shared.output.isUnlimited else { return }
        guard !context.channel.isWritable else { return standing.output.release(in: shared.output) }
        let payer = standing.output.bytes > 0 ? standing.output.payer : standing.payer ?? ""
        while let shortage = standing.output.set(to: pendingBytes ?? 0, payer: payer, in: shared.output) {
            registry.condemn(payer: shortage == .payer ? payer : nil, for: self)
            if standing.isCondemned { return }
        }
    }

    /// Gives back what the client has read since it was charged.
    func refreshOutput() {
        guard standing.output.bytes > 0, let pending = pendingBytes, pending < standing.output.bytes else { return }
        _ = standing.output.set(to: pending, payer: standing.output.payer, in: shared.output)
        output.stalledSince = .now()
    }

    /// Cut soon: whoever calls is in the middle of a write.
    func condemn() {
        standing.isCondemned = true
        countStranger()
        standing.output.release(in: shared.output)
        context?.eventLoop.assumeIsolated().execute { self.cut() }
    }
}
