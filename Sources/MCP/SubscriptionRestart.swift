import JSONText
public import NIOCore

/// A subscription that goes on with another process of its server.
public enum SubscriptionRestart {
    /// What to tell the subscriber in place of a second acknowledgement: everything that it listens to may have changed.
    ///
    /// - Returns: nil when the message is no acknowledgement.
    public static func notifications(acknowledgement message: ByteBuffer) -> [ByteBuffer]? {
        guard let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan), envelope.method == "notifications/subscriptions/acknowledged",
            let granted = try? ListenFilter(of: envelope, message)
        else { return nil }
        let plain = notifications(of: granted)
        guard let id = envelope.subscriptionID.map({ message.copy($0) }) else { return plain }
        return plain.compactMap { notification in
            (try? EnvelopeScanner.scan(notification.readableBytesSpan)).map { Subscription.tagged(notification, $0, id: id) }
        }
    }

    /// Everything of this may have changed: what a client of the handshake revisions is told.
    static func notifications(of granted: ListenFilter) -> [ByteBuffer] {
        var plain: [ByteBuffer] = []
        if granted.tools { plain.append(JSONRPC.notification("notifications/tools/list_changed")) }
        if granted.prompts { plain.append(JSONRPC.notification("notifications/prompts/list_changed")) }
        if granted.resources { plain.append(JSONRPC.notification("notifications/resources/list_changed")) }
        for uri in granted.uris {
            plain.append(JSONRPC.notification("notifications/resources/updated", params: JSONValue.object(["uri": .string(uri)]).buffer))
        }
        return plain
    }
}
