import NIOCore
import StdioBridge
import TestSupport
import Testing

struct LineFramerTests {
    private func frames(_ chunks: [String], limit: Int = 100) -> [LineFramer.Frame] {
        var framer = LineFramer(limit: limit)
        var all: [LineFramer.Frame] = []
        for chunk in chunks {
            framer.append(ByteBuffer(string: chunk))
            while let frame = framer.next() { all.append(frame) }
        }
        if let frame = framer.finish() { all.append(frame) }
        return all
    }

    private func line(_ text: String) -> LineFramer.Frame { .line(ByteBuffer(string: text)) }

    @Test(.tags(.failure12)) func cutsAtNewlinesWhereverTheChunksEnd() {
        let text = "one\ntwo\r\n\n  \n\u{FEFF}three\nlast"
        let expected = ["one", "two", "three", "last"].map(line)
        #expect(frames([text]) == expected)
        for size in 1...7 {
            let bytes = Array(text.utf8)
            var framer = LineFramer()
            var all: [LineFramer.Frame] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                framer.append(ByteBuffer(bytes: bytes[start..<min(bytes.count, start + size)]))
                while let frame = framer.next() { all.append(frame) }
            }
            if let frame = framer.finish() { all.append(frame) }
            #expect(all == expected, "chunks of \(size)")
        }
    }

    @Test(.tags(.failure12)) func findsItsWayAfterALineBeyondTheLimit() {
        let long = String(repeating: "x", count: 250)
        let prefix = ByteBuffer(string: long)
        #expect(frames([long + "\nnext\n"]) == [.oversized(prefix: prefix, bytes: 250), line("next")])
        let pieces = [String(long.prefix(120)), String(long.prefix(80)), String(long.prefix(50)) + "\nnext\n"]
        #expect(frames(pieces) == [.oversized(prefix: ByteBuffer(string: String(long.prefix(120))), bytes: 250), line("next")])
        #expect(frames([String(repeating: "y", count: 100) + "\n"]) == [line(String(repeating: "y", count: 100))])
    }

    @Test(.tags(.failure12)) func holdsNoMoreThanTheLimit() {
        var framer = LineFramer(limit: 1000)
        for _ in 0..<100 {
            framer.append(ByteBuffer(repeating: 0x61, count: 500))
            #expect(framer.next() == nil)
            #expect(framer.pendingBytes <= 1000)
        }
    }
}
