import NIOCore
import Testing

@testable import Wire

@Suite struct SSETests {
    private func read(_ pieces: [ByteBuffer], limit: Int = 1 << 20) throws -> [SSEEvent] {
        var reader = SSEReader(maxEventBytes: limit)
        var events: [SSEEvent] = []
        for piece in pieces {
            reader.feed(piece)
            while let event = try reader.next() { events.append(event) }
        }
        return events
    }

    /// Events without data are not told, and say where and when to resume all the same (HTML, server-sent events, 9.2.6).
    @Test func tellsWhereToResume() throws {
        var reader = SSEReader()
        for (text, id, time) in [("id: 1\ndata:\n\n", "1", nil), ("id: 2\nretry: 250\n", "1", 250), ("\n", "2", 250), ("data: x\n\n", "2", 250)] as [(String, String, Int?)] {
            reader.feed(ByteBuffer(string: text))
            while try reader.next() != nil {}
            #expect(reader.lastEventID == id && reader.reconnectionTime == time, "\(text)")
        }
    }

    static func event(_ data: String, _ event: String = "message", id: String? = nil, retry: Int? = nil) -> SSEEvent {
        SSEEvent(event: event, data: ByteBuffer(string: data), id: id, retry: retry)
    }

    static let streams: [(String, [SSEEvent])] = [
        ("data: one\n\n", [event("one")]),
        ("data:one\n\ndata:  two\n\n", [event("one"), event(" two")]),
        ("data: a\ndata: b\ndata\ndata:\n\n", [event("a\nb\n\n")]),
        ("\u{FEFF}data: x\n\n", [event("x")]),
        (": comment\n\n:\n\ndata: x\n\n", [event("x")]),
        ("id: 7\nevent: up\ndata: x\n\ndata: y\n\n", [event("x", "up", id: "7"), event("y", id: "7")]),
        ("id: 7\n\nid\ndata: y\n\n", [event("y", id: "")]),
        ("id: a\0b\nretry: 1500\ndata: y\n\n", [event("y", retry: 1500)]),
        ("retry: soon\nretry: 99999999999999\nunknown: 1\nDATA: z\ndata: y\n\n", [event("y")]),
        ("event: nothing\n\n", []),
        ("data: unfinished\n", []),
        ("\n\n\ndata: x\n\n", [event("x")]),
        ("data: ä\u{1F600}\n\n", [event("ä\u{1F600}")]),
        ("data: {\"a\": \"b: c\"}\n\n", [event("{\"a\": \"b: c\"}")]),
    ]

    @Test(arguments: streams) func readsStreamsHoweverTheyAreCut(text: String, events: [SSEEvent]) throws {
        for ending in ["\n", "\r\n", "\r"] {
            let bytes = ByteBuffer(string: text.replacing("\n", with: ending))
            for pieces in bytes.everySplit + [bytes.singleBytes, [bytes]] {
                #expect(try read(pieces) == events, "line end \(ending.debugDescription), cut \(pieces.map(\.readableBytes))")
            }
        }
    }

    @Test func lineEndsMayBeMixed() throws {
        let bytes = ByteBuffer(string: "data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\rdata: e\n\n")
        for pieces in bytes.everySplit + [bytes.singleBytes] {
            #expect(try read(pieces) == [Self.event("a\nb\nc"), Self.event("d"), Self.event("e")])
        }
    }

    @Test(arguments: ["", "one", "two\nlines", "cr\rlf\r\nend\n", "{\"jsonrpc\":\"2.0\"}", "\u{FEFF}mark", ": colon", " space"])
    func whatIsWrittenIsRead(data: String) throws {
        var bytes = ByteBuffer()
        SSE.writeComment("one\ntwo", into: &bytes)
        SSE.write(data: ByteBuffer(string: data), event: "e\nv", id: "i\r\nd", into: &bytes)
        SSE.write(data: ByteBuffer(string: "next"), into: &bytes)
        let joined = data.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        for pieces in bytes.everySplit {
            #expect(try read(pieces) == [Self.event(joined, "e v", id: "i  d"), Self.event("next", id: "i  d")])
        }
    }

    @Test(arguments: ["data: 1234567890\n", "data: 12345\ndata: 12345\n", "data: 1234567890", ": 1234567890", "id: 1234567890\n"])
    func eventsAreBounded(text: String) {
        let bytes = ByteBuffer(string: text)
        #expect(throws: SSEError.eventTooLarge) { try read([bytes], limit: 10) }
        #expect(throws: SSEError.eventTooLarge) { try read(bytes.singleBytes, limit: 10) }
    }

    /// A stream of many events must not hold what was read already.
    @Test func longStreamsStaySmall() throws {
        var reader = SSEReader(maxEventBytes: 4_096)
        var count = 0
        for index in 0..<5_000 {
            // Cut so that something is always left over.
            reader.feed(ByteBuffer(string: "data: \(index)\n\nda"))
            reader.feed(ByteBuffer(string: "ta: tail\n\n: "))
            while try reader.next() != nil { count += 1 }
            reader.feed(ByteBuffer(string: "\n"))
        }
        #expect(count == 10_000)
        #expect(reader.storageCapacity < 65_536)
    }

    @Test func aLargeEventIsASliceOfTheInput() throws {
        var bytes = ByteBuffer()
        SSE.write(data: ByteBuffer(repeating: UInt8(ascii: "x"), count: 100_000), into: &bytes)
        var reader = SSEReader()
        reader.feed(bytes)
        let event = try #require(try reader.next())
        let inside = bytes.withUnsafeReadableBytes { all in
            event.data.withUnsafeReadableBytes { $0.baseAddress == all.baseAddress.map { $0 + 6 } }
        }
        #expect(inside)
    }
}
