import NIOCore

/// The chunked coding (RFC 9112 §7.1) as a state machine over a buffer. Extensions are skipped and bounded, trailers too.
struct ChunkedDecoder: Sendable {
    enum Step {
        /// That many bytes of data are at the front of the input.
        case data(Int)
        case end
        /// More bytes are needed.
        case none
    }

    private enum State: Sendable {
        case size, data, dataEnd, trailer
    }

    /// A size line: at most 15 hexadecimal digits and a short extension.
    private static let maximumSizeLine = 512
    private static let maximumTrailers = 8_192

    private var state = State.size
    private var remaining = 0
    private var trailerBytes = 0
    /// Data of the present chunk that has not been taken.
    var announced: Int { remaining }

    mutating func next(_ input: inout ByteBuffer) throws(HTTPError) -> Step {
        while true {
            switch state {
            case .data:
                return input.readableBytes == 0 ? .none : .data(min(remaining, input.readableBytes))
            case .size:
                guard let line = try Self.line(&input, limit: Self.maximumSizeLine, tooLong: .badChunk) else { return .none }
                remaining = try Self.size(line)
                state = remaining == 0 ? .trailer : .data
            case .dataEnd:
                guard let line = try Self.line(&input, limit: 2, tooLong: .badChunk) else { return .none }
                guard line.readableBytes == 0 else { throw .badChunk }
                state = .size
            case .trailer:
                let left = Self.maximumTrailers - trailerBytes
                guard let line = try Self.line(&input, limit: left, tooLong: .trailersTooLarge) else { return .none }
                trailerBytes += line.readableBytes + 2
                if line.readableBytes == 0 { return .end }
                try Self.checkTrailer(line)
            }
        }
    }

    /// The caller took `length` bytes of what `data` announced.
    mutating func took(_ length: Int) {
        remaining -= length
        if remaining == 0 { state = .dataEnd }
    }

    /// One line without its CRLF. A line of more than `limit` bytes, with or without an end, is refused.
    private static func line(_ input: inout ByteBuffer, limit: Int, tooLong: HTTPError) throws(HTTPError) -> ByteBuffer? {
        let view = input.readableBytesView.prefix(limit)
        guard let end = view.firstIndex(of: ASCII.lf) else {
            if view.count == limit { throw tooLong }
            return nil
        }
        let length = end - view.startIndex
        guard length > 0, view[end - 1] == ASCII.cr else { throw .bareLF }
        guard let line = input.readSlice(length: length - 1) else { return nil }
        input.moveReaderIndex(forwardBy: 2)
        return line
    }

    private static func size(_ line: ByteBuffer) throws(HTTPError) -> Int {
        var size = 0
        var digits = 0
        var rest = line.readableBytesView[...]
        while let byte = rest.first, let digit = ASCII.hexDigit(byte) {
            digits += 1
            guard digits <= 15 else { throw .badChunk }
            size = size << 4 | digit
            rest = rest.dropFirst()
        }
        guard digits > 0 else { throw .badChunk }
        // Blanks before an extension are tolerated by RFC 9112 §7.1.1; anything else after the size is not.
        let beyond = rest.drop(while: ASCII.isBlank)
        guard beyond.isEmpty ? rest.isEmpty : beyond.first == UInt8(ascii: ";") else { throw .badChunk }
        guard rest.allSatisfy(ASCII.isFieldValue) else { throw .badChunk }
        return size
    }

    private static func checkTrailer(_ line: ByteBuffer) throws(HTTPError) {
        let view = line.readableBytesView
        guard let colon = view.firstIndex(of: ASCII.colon), colon > view.startIndex,
            view[..<colon].allSatisfy(ASCII.isToken), view[colon...].allSatisfy(ASCII.isFieldValue)
        else { throw .badChunk }
    }
}
