import NIOCore
import Testing

@testable import Wire

@Suite struct BodyTests {
    /// Runs the decoder over pieces: the data, what is left behind the end, and whether the end came.
    private func decode(_ pieces: [ByteBuffer], _ framing: BodyFraming, limit: Int = .max) throws -> (data: String, rest: String, ended: Bool) {
        var decoder = BodyDecoder(framing, limit: limit)
        var input = ByteBuffer()
        var data = ByteBuffer()
        var ended = false
        for piece in pieces {
            input.writeImmutableBuffer(piece)
            loop: while true {
                switch try decoder.next(&input) {
                case .data(let part): data.writeImmutableBuffer(part)
                case .end: ended = true
                case nil: break loop
                }
            }
        }
        return (data.text, input.text, ended)
    }

    @Test(arguments: [
        ("5\nhello\n0\n\n", "hello"), ("0\n\n", ""), ("5;name=\"v\"\nhello\n00\n\n", "hello"),
        ("3 ;x\nabc\n2\nde\n0\nTrailer: x\nOther: y\n\n", "abcde"),
        ("A\n0123456789\na\n0123456789\n0\n\n", "01234567890123456789"),
    ]) func decodesChunksHoweverTheyAreCut(text: String, expected: String) throws {
        let bytes = wire(text)
        for pieces in bytes.everySplit + [bytes.singleBytes] {
            let result = try decode(pieces + [ByteBuffer(string: "next")], .chunked)
            #expect(result.data == expected)
            #expect(result.rest == "next")
            #expect(result.ended)
        }
    }

    @Test(arguments: [
        ("\r\n", HTTPError.badChunk), ("x\r\n", .badChunk), ("-1\r\n", .badChunk), ("+1\r\n", .badChunk), ("0x1\r\na\r\n", .badChunk),
        (" 1\r\na\r\n", .badChunk),
        ("1 \r\na\r\n", .badChunk), ("1,\r\na\r\n", .badChunk), ("1\na\r\n", .bareLF), ("1\r\nab\r\n", .badChunk), ("1\r\na\n", .bareLF),
        ("1000000000000000\r\n", .badChunk), ("FFFFFFFFFFFFFFFFF\r\n", .badChunk), ("1;a\rb\r\na\r\n", .badChunk), ("0\r\nbad\r\n\r\n", .badChunk),
        ("0\r\n folded: x\r\n\r\n", .badChunk), ("1;" + String(repeating: "x", count: 600), .badChunk),
        ("0\r\nX: " + String(repeating: "x", count: 9_000), .trailersTooLarge),
        ("0\r\n" + String(repeating: "X: y\r\n", count: 2_000), .trailersTooLarge),
    ]) func refusesBadChunks(text: String, error: HTTPError) {
        let bytes = ByteBuffer(string: text)
        #expect(throws: error) { try decode([bytes], .chunked) }
        #expect(throws: error) { try decode(bytes.singleBytes, .chunked) }
    }

    @Test func bodiesAreBounded() throws {
        #expect(throws: HTTPError.bodyTooLarge) { try decode([ByteBuffer()], .length(11), limit: 10).data }
        #expect(throws: HTTPError.bodyTooLarge) { try decode([wire("b\n")], .chunked, limit: 10).data }
        #expect(throws: HTTPError.bodyTooLarge) { try decode([wire("6\n123456\n5\n1")], .chunked, limit: 10).data }
        #expect(try decode([wire("6\n123456\n4\n1234\n0\n\n")], .chunked, limit: 10).data == "1234561234")
        #expect(throws: HTTPError.bodyTooLarge) { try decode([ByteBuffer(string: "12345678901")], .untilClose, limit: 10).data }
    }

    @Test func lengthsEndWhereTheySay() throws {
        let bytes = ByteBuffer(string: "hellonext")
        for pieces in bytes.everySplit + [bytes.singleBytes] {
            let result = try decode(pieces, .length(5))
            #expect(result == ("hello", "next", true))
        }
        #expect(try decode([ByteBuffer(string: "next")], .none) == ("", "next", true))
    }

    @Test func onlyCloseDelimitedBodiesEndByClosing() throws {
        var close = BodyDecoder(.untilClose)
        #expect(try close.inputEnded() == .end)
        for framing in [BodyFraming.length(3), .chunked] {
            var decoder = BodyDecoder(framing)
            #expect(throws: HTTPError.truncated) { try decoder.inputEnded() }
        }
    }

    @Test func oneWholePieceIsNotCopied() {
        let piece = ByteBuffer(repeating: 1, count: 4_096)
        var body = BodyAccumulator()
        body.append(piece)
        let whole = body.take()
        let same = piece.withUnsafeReadableBytes { one in whole.withUnsafeReadableBytes { one.baseAddress == $0.baseAddress } }
        #expect(same)
        #expect(body.readableBytes == 0)
    }
}

@Suite struct RequestReaderTests {
    static let request = wire("POST /mcp HTTP/1.1\nHost: m\nContent-Length: 5\n\nhello")

    @Test func bodyWaitsUntilItIsWanted() throws {
        var reader = HTTPRequestReader()
        #expect(reader.isBetweenRequests)
        reader.feed(Self.request)
        guard case .head(let head) = try reader.next() else { Issue.record("no head"); return }
        #expect(head.target == "/mcp")
        #expect(try reader.next() == nil)
        #expect(reader.buffered == 5)
        reader.startBody(limit: 100)
        guard case .body(let body) = try reader.next() else { Issue.record("no body"); return }
        #expect(body.text == "hello")
        guard case .end = try reader.next() else { Issue.record("no end"); return }
        #expect(try reader.next() == nil)
        #expect(!reader.isBetweenRequests)
        reader.nextRequest()
        #expect(reader.isBetweenRequests)
    }

    @Test func everySplitGivesTheSameRequest() throws {
        for chunked in [false, true] {
            let bytes = chunked ? wire("POST /mcp HTTP/1.1\nHost: m\nTransfer-Encoding: chunked\n\n3\nhel\n2\nlo\n0\n\n") : Self.request
            for pieces in bytes.everySplit + [bytes.singleBytes] {
                var reader = HTTPRequestReader()
                var body = ByteBuffer()
                var ends = 0
                // Twice, so that nothing of the first request shows in the second.
                for _ in 0..<2 {
                    for piece in pieces {
                        reader.feed(piece)
                        while let event = try reader.next() {
                            switch event {
                            case .head(let head):
                                #expect(head.method == "POST")
                                reader.startBody(limit: 5)
                            case .body(let part): body.writeImmutableBuffer(part)
                            case .end: ends += 1
                            }
                        }
                    }
                    reader.nextRequest()
                }
                #expect(body.text == "hellohello")
                #expect(ends == 2)
            }
        }
    }

    @Test func aFurtherRequestBeforeTheAnswerIsRefused() throws {
        var reader = HTTPRequestReader()
        reader.feed(Self.request)
        reader.feed(ByteBuffer(string: "G"))
        _ = try reader.next()
        reader.startBody(limit: 5)
        _ = try reader.next()
        _ = try reader.next()
        #expect(throws: HTTPError.pipelined) { try reader.next() }
    }

    @Test func theLimitIsTheCallers() throws {
        var reader = HTTPRequestReader()
        reader.feed(Self.request)
        _ = try reader.next()
        reader.startBody(limit: 4)
        #expect(throws: HTTPError.bodyTooLarge) { try reader.next() }
    }
}

extension HTTPRequestReader.Event? {
    static func == (lhs: Self, rhs: _OptionalNilComparisonType) -> Bool {
        if case .none = lhs { return true }
        return false
    }
}
