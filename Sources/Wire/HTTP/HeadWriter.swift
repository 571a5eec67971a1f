import NIOCore

/// Writing heads into a buffer. Values from outside cannot split a head: CR, LF and NUL become spaces.
extension ByteBuffer {
    /// `METHOD target HTTP/1.1`.
    public mutating func writeRequestLine(method: String, target: String) {
        writeString(method)
        writeInteger(ASCII.space)
        writeSanitized(target.utf8, replacing: { !ASCII.isVisible($0) && $0 < 0x80 }, with: UInt8(ascii: "_"))
        writeStaticString(" HTTP/1.1\r\n")
    }

    /// `HTTP/1.1 200 OK`, the phrase from the table of `HTTPStatus`.
    public mutating func writeStatusLine(_ status: Int) {
        if status == 200 {
            writeStaticString("HTTP/1.1 200 OK\r\n")
            return
        }
        writeStaticString("HTTP/1.1 ")
        writeDecimal(status)
        writeInteger(ASCII.space)
        writeString(HTTPStatus.phrase(status))
        writeStaticString("\r\n")
    }

    /// One field. A name that is no token is not written.
    ///
    /// - Returns: Whether it was written.
    @discardableResult
    public mutating func writeField(_ name: String, _ value: String) -> Bool {
        guard ASCII.areFieldValue(value.utf8) else { return writeField(name, bytes: value.utf8) }
        return writeField(name) { $0.writeString(value) }
    }

    /// One field with a decimal number.
    @discardableResult
    public mutating func writeField(_ name: String, _ value: Int) -> Bool {
        writeField(name) { $0.writeDecimal(value) }
    }

    /// One field whose value is bytes already.
    @discardableResult
    public mutating func writeField(_ name: String, bytes value: some Sequence<UInt8>) -> Bool {
        writeField(name) { $0.writeSanitized(value, replacing: { !ASCII.isFieldValue($0) }, with: ASCII.space) }
    }

    private mutating func writeField(_ name: String, value: (inout ByteBuffer) -> Void) -> Bool {
        guard HTTPFields.isValidName(name) else { return false }
        writeString(name)
        writeStaticString(": ")
        value(&self)
        writeStaticString("\r\n")
        return true
    }

    /// The empty line that ends a head.
    public mutating func writeHeadEnd() {
        writeStaticString("\r\n")
    }

    /// The size line of a chunk; its data and a CRLF follow.
    public mutating func writeChunkStart(_ length: Int) {
        writeString(String(length, radix: 16))
        writeStaticString("\r\n")
    }

    /// The chunk that ends a chunked body, without trailers.
    public mutating func writeLastChunk() {
        writeStaticString("0\r\n\r\n")
    }

    private mutating func writeDecimal(_ value: Int) {
        // Up to 15 digits a String lives on the stack.
        writeString(String(value))
    }

    private mutating func writeSanitized(_ value: some Sequence<UInt8>, replacing: (UInt8) -> Bool, with other: UInt8) {
        let start = writerIndex
        let length = writeBytes(value)
        withUnsafeMutableReadableBytes { all in
            let offset = all.count - length
            for index in offset..<all.count where replacing(all[index]) { all[index] = other }
        }
        assert(writerIndex == start + length)
    }
}

/// Reason phrases (RFC 9110 §15).
public enum HTTPStatus {
    /// The phrase of a status; `Status` for one that is not in the table.
    public static func phrase(_ status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 424: "Failed Dependency"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        case 507: "Insufficient Storage"
        default: "Status"
        }
    }
}
