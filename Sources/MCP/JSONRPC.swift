import JSONText
public import NIOCore

/// Whole JSON-RPC messages, put together from texts.
public enum JSONRPC {
    /// `id` is raw JSON text and echoed byte for byte.
    public static func response(id: ByteBuffer?, result: ByteBuffer) -> ByteBuffer {
        var out = opening(id, capacity: result.readableBytes)
        out.writeStaticString(#","result":"#)
        out.writeImmutableBuffer(result)
        out.writeStaticString("}")
        return out
    }

    /// Without an id the message says `"id":null`, as JSON-RPC asks.
    public static func error(id: ByteBuffer?, _ error: MCPError) -> ByteBuffer {
        var out = opening(id, capacity: 64 + error.message.utf8.count + (error.data?.readableBytes ?? 0))
        out.writeStaticString(#","error":{"code":"#)
        out.writeString(String(error.code))
        out.writeStaticString(#","message":"#)
        out.writeBytes(JSONString.quote(error.message))
        if let data = error.data {
            out.writeStaticString(#","data":"#)
            out.writeImmutableBuffer(data)
        }
        out.writeStaticString("}}")
        return out
    }

    /// `params` is a JSON object text.
    public static func notification(_ method: String, params: ByteBuffer? = nil) -> ByteBuffer {
        var out = ByteBuffer(string: #"{"jsonrpc":"2.0","method":"#)
        out.writeBytes(JSONString.quote(method))
        if let params {
            out.writeStaticString(#","params":"#)
            out.writeImmutableBuffer(params)
        }
        out.writeStaticString("}")
        return out
    }

    /// `params` is a JSON object text.
    static func request(id: Int, _ method: String, params: ByteBuffer) -> ByteBuffer {
        var out = opening(ByteBuffer(string: String(id)), capacity: 64 + params.readableBytes)
        out.writeStaticString(#","method":"#)
        out.writeBytes(JSONString.quote(method))
        out.writeStaticString(#","params":"#)
        out.writeImmutableBuffer(params)
        out.writeStaticString("}")
        return out
    }

    private static func opening(_ id: ByteBuffer?, capacity: Int) -> ByteBuffer {
        var out = ByteBufferAllocator().buffer(capacity: capacity + 64 + (id?.readableBytes ?? 4))
        out.writeStaticString(#"{"jsonrpc":"2.0","id":"#)
        if let id { out.writeImmutableBuffer(id) } else { out.writeStaticString("null") }
        return out
    }
}
