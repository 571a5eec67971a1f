import MCP
import NIOCore

/// Who wants to hear that a virtual MCP's list of tools changed. The list is the catalogue's, so no machine is asked. Confined to the loop.
final class CatalogueListens {
    private final class Listen: MCPCall {
        let slug: String
        /// The id of the listen request, raw.
        let id: ByteBuffer
        let granted: ListenFilter
        private var sink: (any MCPSink)?
        private let ended: (Listen) -> Void

        init(slug: String, id: ByteBuffer, granted: ListenFilter, sink: any MCPSink, ended: @escaping (Listen) -> Void) {
            self.slug = slug
            self.id = id
            self.granted = granted
            self.sink = sink
            self.ended = ended
        }

        /// What is dropped for a client that does not read it learns with the next one.
        func tell(_ message: ByteBuffer) { _ = sink?.notification(message) }

        func cancel() {
            guard let sink else { return }
            self.sink = nil
            ended(self)
            sink.finish(.failed(Undelivered(.outcomeUnknown, "the subscription was ended")))
        }

        func resume() {}
    }

    private var listens: [ObjectIdentifier: Listen] = [:]

    var count: Int { listens.count }

    /// Takes a `subscriptions/listen`: its first message is what was granted of its filter.
    func listen(_ request: MCPRequest, slug: String, sink: any MCPSink) -> any MCPCall {
        let wanted: ListenFilter
        do throws(MCPError) {
            wanted = try ListenFilter(request)
        } catch {
            sink.finish(.error(error))
            return EndedCall()
        }
        // A copy: the request itself is not kept for as long as its stream.
        let id = ByteBuffer(bytes: request.id.map { Array($0.readableBytesView) } ?? Array("null".utf8))
        let listen = Listen(slug: slug, id: id, granted: ListenFilter(tools: wanted.tools), sink: sink) { [weak self] in
            self?.listens[ObjectIdentifier($0)] = nil
        }
        listens[ObjectIdentifier(listen)] = listen
        listen.tell(Subscription.acknowledged(listen.granted, id: id))
        return listen
    }

    /// The tools of these virtual MCPs are others now.
    func toolsChanged(of slugs: Set<String>) {
        guard !slugs.isEmpty else { return }
        for listen in listens.values where listen.granted.tools && slugs.contains(listen.slug) {
            listen.tell(Subscription.notification("notifications/tools/list_changed", id: listen.id))
        }
    }
}
