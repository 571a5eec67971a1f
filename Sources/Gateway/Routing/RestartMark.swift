import JSONText
import MCP
import NIOCore

/// `_meta["berth/restarted"]`: tells a client that the server behind its session began anew, so that state is gone.
enum RestartMark {
    static let key = "berth/restarted"

    static func added(to result: ByteBuffer) -> ByteBuffer {
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
