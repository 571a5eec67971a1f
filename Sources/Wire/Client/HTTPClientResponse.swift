import NIOCore

/// An answer whose body may still be arriving.
public struct HTTPClientResponse: Sendable {
    public let status: Int
    public let headers: HTTPFields
    /// The body in pieces as they arrive. Whoever reads slowly slows the server. For one reader, once.
    public let body: Body

    /// The whole body.
    ///
    /// - Throws: `HTTPClientError.responseTooLarge`, `ExchangeFailure`.
    public func collect(upTo limit: Int) async throws -> ByteBuffer {
        var whole = BodyAccumulator()
        for try await piece in body {
            guard whole.readableBytes + piece.readableBytes <= limit else { throw HTTPClientError.responseTooLarge(limit: limit) }
            whole.append(piece)
        }
        return whole.take()
    }

    /// The body line by line (NDJSON), without the line ends and without empty lines; one line is at most 1 MiB.
    public var lines: Lines { Lines(body: body) }

    /// Pieces of a body.
    public struct Body: AsyncSequence, Sendable {
        public typealias Element = ByteBuffer
        typealias Producer = NIOThrowingAsyncSequenceProducer<
            ByteBuffer, any Error, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, AsyncExchange
        >

        let producer: Producer

        public func makeAsyncIterator() -> Iterator {
            Iterator(inner: producer.makeAsyncIterator())
        }

        public struct Iterator: AsyncIteratorProtocol {
            let inner: Producer.AsyncIterator

            @concurrent
            public mutating func next() async throws -> ByteBuffer? {
                let piece = try await inner.next()
                // A cancelled reader gets the end of the sequence from the producer, which is no end of the body.
                if piece == nil { try Task.checkCancellation() }
                return piece
            }
        }
    }

    /// Lines of a body.
    public struct Lines: AsyncSequence, Sendable {
        public typealias Element = ByteBuffer
        private static let maximumLine = 1 << 20

        let body: Body

        public func makeAsyncIterator() -> Iterator {
            Iterator(inner: body.makeAsyncIterator())
        }

        public struct Iterator: AsyncIteratorProtocol {
            var inner: Body.Iterator
            private var input = ByteBuffer()
            private var hasEnded = false

            init(inner: Body.Iterator) {
                self.inner = inner
            }

            @concurrent
            public mutating func next() async throws -> ByteBuffer? {
                while true {
                    if let line = takeLine() {
                        if line.readableBytes > 0 { return line }
                        continue
                    }
                    if hasEnded { return nil }
                    guard input.readableBytes <= Lines.maximumLine else {
                        throw HTTPClientError.responseTooLarge(limit: Lines.maximumLine)
                    }
                    if let piece = try await inner.next() {
                        input.enqueue(piece)
                    } else {
                        hasEnded = true
                    }
                }
            }

            private mutating func takeLine() -> ByteBuffer? {
                let view = input.readableBytesView
                guard let end = view.firstIndex(of: ASCII.lf) else {
                    return hasEnded && !view.isEmpty ? input.readSlice(length: view.count) : nil
                }
                let carriageReturn = end > view.startIndex && view[end - 1] == ASCII.cr ? 1 : 0
                let line = input.readSlice(length: end - view.startIndex - carriageReturn)
                input.moveReaderIndex(forwardBy: 1 + carriageReturn)
                return line
            }
        }
    }
}
