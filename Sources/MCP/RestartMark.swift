import JSONText
public import NIOCore

/// `_meta["berth/restarted"]`: how a result tells that the process before the one that answers is gone, and its state with it.
public enum RestartMark {
    static let key = "berth/restarted"

    /// The result with the mark, once; as it was when it cannot carry one.
    public static func added(to result: ByteBuffer) -> ByteBuffer {
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        let mark: [(key: String, value: [UInt8])] = [(key, Array("true".utf8))]
        var splice = Splice()
        do {
            if let meta = try JSONMembers.value(of: "_meta", object: whole, in: text) {
                try splice.editObject(meta, in: text, removing: { $0.hasKey("berth/restarted", in: text) }, adding: mark)
            } else {
                try splice.editObject(whole, in: text, removing: { _ in false }, adding: [("_meta", Array(#"{"\#(key)":true}"#.utf8))])
            }
        } catch {
            // The result was scanned as an object; should it hold a strange `_meta`, it goes as it is.
            return result
        }
        return ByteBuffer(bytes: splice.apply(to: text))
    }
}
