import NIOCore
import Testing

@testable import Wire

@Suite struct HeadTests {
    @Test func readsARequest() throws {
        let head = try RequestHead(
            parsing: wire("POST /mcp?a=b HTTP/1.1\nHost: m\nX-Token:  one \nx-token: two\nContent-Length: 12\nAccept: a, B\n\n"))
        #expect(head.method == "POST")
        #expect(head.target == "/mcp?a=b")
        #expect(head.path == "/mcp")
        #expect(head.query == "a=b")
        #expect(head.framing == .length(12))
        #expect(head.keepAlive)
        #expect(head.fields.count == 5)
        #expect(head.fields["x-TOKEN"] == "one")
        #expect(head.fields.count(of: "X-Token") == 2)
        #expect(head.fields.values(of: "x-token") == ["one", "two"])
        #expect(head.fields["x-toke"] == nil)
        #expect(!head.fields.contains("absent"))
        #expect(head.fields.slice(of: "x-token")?.text == "one")
        #expect(head.fields.withValue(of: "host") { $0.count } == 1)
        #expect(head.fields.hasToken("b", in: "accept"))
        #expect(!head.fields.hasToken("c", in: "accept"))
        #expect(head.fields.map { $0.name } == ["Host", "X-Token", "x-token", "Content-Length", "Accept"])
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\nHost: a\n\n", true), ("GET / HTTP/1.1\nHost: a\nConnection: x, Close\n\n", false),
        ("GET / HTTP/1.0\n\n", false), ("GET / HTTP/1.0\nConnection: keep-alive\n\n", true),
    ]) func knowsKeepAlive(text: String, expected: Bool) throws {
        #expect(try RequestHead(parsing: wire(text)).keepAlive == expected)
    }

    /// What smugglers and broken clients send, each with the rule that refuses it.
    static let refused: [(String, HTTPError)] = [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", .lengthAndTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", .lengthAndTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", .duplicateContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n", .duplicateContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .badTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .badTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", .badTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{B}chunked\r\n\r\n", .badFieldValue),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .badTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: one\r\n two\r\n\r\n", .obsoleteFold),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: one\r\n\ttwo\r\n\r\n", .obsoleteFold),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", .obsoleteFold),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", .bareCR),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", .bareCR),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", .bareLF),
        ("GET / HTTP/1.1\nHost: a\n\n", .bareLF),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nÜ: b\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", .badFieldValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{7F}\r\n\r\n", .badFieldValue),
        ("GET / HTTP/1.1\r\n\r\n", .badHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .badHost),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .badVersion),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .badVersion),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", .badStartLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .badStartLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .badStartLine),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", .badStartLine),
        ("GET /\u{E4} HTTP/1.1\r\nHost: a\r\n\r\n", .badStartLine),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", .badStartLine),
        ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", .badStartLine),
        ("GET /\r\nHost: a\r\n\r\n", .badStartLine),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .badStartLine),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest", .badStartLine),
        ("GET / HTTP/1.1\r\nHost: a\r\n", .truncated),
    ]

    @Test(arguments: refused) func refuses(text: String, error: HTTPError) {
        #expect(throws: error) { try RequestHead(parsing: ByteBuffer(string: text)) }
    }

    /// The reader must come to the same refusal however the bytes are cut; only what is no longer one head differs.
    @Test(arguments: refused.filter { $0.1 != .truncated && !$0.0.hasSuffix("rest") }) func refusesInPieces(text: String, error: HTTPError) {
        for pieces in ByteBuffer(string: text).everySplit + [ByteBuffer(string: text).singleBytes] {
            var reader = HTTPRequestReader()
            #expect(throws: error) {
                for piece in pieces {
                    reader.feed(piece)
                    _ = try reader.next()
                }
            }
        }
    }

    @Test func boundsTheHead() {
        let many = (0..<101).map { "X\($0): v\n" }.joined()
        #expect(throws: HTTPError.tooManyFields) { try RequestHead(parsing: wire("GET / HTTP/1.1\n\(many)\n")) }
        let hundred = "Host: a\n" + (0..<99).map { "X\($0): v\n" }.joined()
        #expect(throws: Never.self) { try RequestHead(parsing: wire("GET / HTTP/1.1\n\(hundred)\n")) }

        var reader = HTTPRequestReader(limits: HTTPLimits(headBytes: 100))
        reader.feed(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: "))
        #expect(throws: Never.self) { try reader.next() }
        reader.feed(ByteBuffer(repeating: UInt8(ascii: "a"), count: 100))
        #expect(throws: HTTPError.headTooLarge) { try reader.next() }
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", "GET", BodyFraming.length(5)),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "GET", .none),
        ("HTTP/1.1 200\nTransfer-Encoding: Chunked\n\n", "GET", .chunked),
        ("HTTP/1.1 200 \n\n", "GET", .untilClose),
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", "HEAD", .none),
        ("HTTP/1.1 204 No Content\n\n", "GET", .none),
        ("HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n", "GET", .none),
    ]) func framesAnswers(text: String, method: String, framing: BodyFraming) throws {
        #expect(try ResponseHead(parsing: wire(text)).framing(requestMethod: method) == framing)
    }

    @Test(arguments: [
        ("HTTP/1.1 20 OK\n\n", HTTPError.badStartLine), ("HTTP/1.1 2000\n\n", .badStartLine), ("HTTP/1.1 099 X\n\n", .badStartLine),
        ("HTTP/2 200 OK\n\n", .badStartLine), ("HTTP/1.1\n\n", .badStartLine), ("ICY 200 OK\n\n", .badStartLine),
        ("HTTP/1.1 200 OK\nContent-Length: 1\nTransfer-Encoding: chunked\n\n", .lengthAndTransferEncoding),
        ("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n", .badTransferEncoding),
        ("HTTP/1.1 200 O\u{1}K\n\n", .badStartLine),
    ]) func refusesAnswers(text: String, error: HTTPError) {
        #expect(throws: error) { try ResponseHead(parsing: wire(text)) }
    }

    @Test func writtenHeadsCannotBeSplit() throws {
        var head = ByteBuffer()
        head.writeRequestLine(method: "GET", target: "/a b\r\nX: y")
        let written = [
            head.writeField("host", "h"), head.writeField("x-evil", "a\r\nSet-Cookie: b\0"), head.writeField("bad name", "v"),
            head.writeField("", "v"), head.writeField("content-length", 7),
        ]
        #expect(written == [true, true, false, false, true])
        head.writeHeadEnd()
        let read = try RequestHead(parsing: head)
        #expect(read.target == "/a_b__X:_y")
        #expect(read.fields["x-evil"] == "a  Set-Cookie: b")
        #expect(read.fields.count == 3)
        #expect(read.framing == .length(7))
    }

    @Test func writesStatusLines() throws {
        var head = ByteBuffer()
        head.writeStatusLine(413)
        head.writeHeadEnd()
        #expect(head.text == "HTTP/1.1 413 Content Too Large\r\n\r\n")
        #expect(try ResponseHead(parsing: head).status == 413)
    }
}

@Suite struct EndpointTests {
    @Test(arguments: [
        ("unix:/run/berth/a.sock", Endpoint.unix(path: "/run/berth/a.sock")), ("http://[fd00::1]:8080", .tcp(host: "fd00::1", port: 8080)),
        ("http://127.0.0.1:80/", .tcp(host: "127.0.0.1", port: 80)), ("http://host", .tcp(host: "host", port: 80)),
    ]) func readsDoors(text: String, endpoint: Endpoint) {
        #expect(Endpoint(door: text) == endpoint)
        #expect(Endpoint(door: endpoint.description) == endpoint)
    }

    @Test(arguments: [
        "unix:relative", "unix:", "https://a:1", "http://", "http://:80", "http://a:0", "http://a:70000", "http://a:x", "http://[::1", "http://u@a:1",
        "http://a/b:1", "",
    ]) func refusesOthers(text: String) {
        #expect(Endpoint(door: text) == nil)
    }
}
