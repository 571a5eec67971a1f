import MCP
import NIOCore
import Wire

/// A request at an MCP endpoint while it is being answered: Wire's exchange as MCP's front wants it, and what it was
/// admitted with, so that it ends when that does.
final class PublicExchange: FrontExchange {
    let digest: TokenDigest
    let grant: Grant
    let slug: String
    let session: String?
    private let exchange: ServerExchange
    private var isStream = false

    init(_ exchange: ServerExchange, digest: TokenDigest, grant: Grant, slug: String, session: String?) {
        self.exchange = exchange
        self.digest = digest
        self.grant = grant
        self.slug = slug
        self.session = session
    }

    var isFinished: Bool { exchange.isFinished }

    var onClientGone: (() -> Void)?
    var onResume: (() -> Void)? {
        get { exchange.onResume }
        set { exchange.onResume = newValue }
    }
    /// Told once, when nothing more is written.
    var onEnd: (() -> Void)?

    func attach() {
        exchange.onClientGone = { [weak self] in self?.gone() }
    }

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        exchange.reply(status: status, headers: headers, body: body)
        ended()
    }

    func openStream() {
        isStream = true
        exchange.openStream()
    }

    func event(_ data: ByteBuffer, id: String?) -> Demand {
        isStream = true
        return exchange.event(data, id: id) ? .more : .pause
    }

    func prime(id: String) {
        isStream = true
        exchange.prime(id: id)
    }

    func endpoint(_ uri: String) {
        isStream = true
        exchange.event(ByteBuffer(string: uri), name: "endpoint")
    }

    func closeStream() {
        exchange.closeStream()
        ended()
    }

    /// The token, the principal or the virtual MCP is gone: so is the client, as far as the front is concerned.
    func revoke() {
        guard !exchange.isFinished else { return }
        if isStream {
            exchange.closeStream()
        } else {
            exchange.refuse(.tokenInvalid)
        }
        gone()
    }

    private func gone() {
        let callback = onClientGone
        onClientGone = nil
        callback?()
        ended()
    }

    private func ended() {
        guard exchange.isFinished else { return }
        onClientGone = nil
        let callback = onEnd
        onEnd = nil
        callback?()
    }
}

extension ServerExchange {
    func refuse(_ refusal: Refusal) {
        reply(status: refusal.status, headers: refusal.headers, body: refusal.body)
    }
}
