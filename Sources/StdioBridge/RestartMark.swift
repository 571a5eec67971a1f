import JSONText
import NIOCore

/// `_meta["berth/restarted"]`: how a result tells that the process before this one is gone, and its state with it.
enum RestartMark {
    static let key = "berth/restarted"

    /// The result with the mark; as it was when it is no object.
    static func added(to result: ByteBuffer) -> ByteBuffer {
        var splice = Splice()
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        do throws(ScanError) {
            var members = JSONMembers(of: whole)
            var meta: JSONSpan?
            while let member = try members.next(in: result.readableBytesSpan) {
                if member.hasKey("_meta", in: result.readableBytesSpan) { meta = member.value }
            }
            let mark = Array("true".utf8)
            if let meta {
                try splice.editObject(meta, in: result.readableBytesSpan, removing: { _ in false }, adding: [(key, mark)])
            } else {
                let object = JSONValue.object(JSONObject([(key, true)])).serialized()
                try splice.editObject(whole, in: result.readableBytesSpan, removing: { _ in false }, adding: [("_meta", object)])
            }
        } catch {
            return result
        }
        return ByteBuffer(bytes: splice.apply(to: result.readableBytesSpan))
    }
}
