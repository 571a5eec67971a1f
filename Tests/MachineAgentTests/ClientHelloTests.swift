import Testing

@testable import MachineAgent

/// The one thing that the agent reads of TLS.
@Suite struct ClientHelloTests {
    /// Builds a ClientHello, well-formed or not.
    struct Hello {
        var version: [UInt8] = [3, 3]
        var session: [UInt8] = [UInt8](repeating: 7, count: 32)
        var ciphers: [UInt8] = [0x13, 0x01, 0x13, 0x02]
        var compression: [UInt8] = [0]
        /// nil: the message ends before them.
        var extensions: [(UInt16, [UInt8])]? = [(0x0A, [0, 2, 0, 29]), (0, Self.serverName("api.example.com"))]
        var afterExtensions: [UInt8] = []

        static func vector(_ size: Int, _ bytes: [UInt8]) -> [UInt8] {
            (0..<size).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * (size - 1 - $0))) } + bytes
        }

        static func serverName(_ name: String) -> [UInt8] { vector(2, [0] + vector(2, Array(name.utf8))) }

        var message: [UInt8] {
            var body = version + [UInt8](repeating: 9, count: 32) + Self.vector(1, session) + Self.vector(2, ciphers) + Self.vector(1, compression)
            if let extensions {
                body += Self.vector(2, extensions.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 0xFF)] + Self.vector(2, $0.1) }) + afterExtensions
            }
            return [1] + Self.vector(3, body)
        }

        static func record(_ bytes: some Collection<UInt8>, type: UInt8 = 22) -> [UInt8] { [type, 3, 1] + vector(2, Array(bytes)) }
    }

    private func read(_ change: (inout Hello) -> Void = { _ in }) -> ClientHello.Reading {
        var hello = Hello()
        change(&hello)
        return ClientHello.read(Hello.record(hello.message))
    }

    @Test func theNameIsFound() {
        #expect(read() == .name("api.example.com"))
        #expect(read { $0.extensions = [(0, Hello.serverName("API.Example.COM"))] } == .name("api.example.com"))
        #expect(read { $0.session = [] } == .name("api.example.com"))
        #expect(read { $0.extensions?.append((0xFE0D, [UInt8](repeating: 1, count: 300))) } == .name("api.example.com"))
        // Early data follows in records of its own.
        #expect(ClientHello.read(Hello.record(Hello().message) + Hello.record([1, 2, 3], type: 23)) == .name("api.example.com"))
    }

    @Test func everyPrefixIsIncomplete() {
        let bytes = Hello.record(Hello().message)
        for count in 0..<bytes.count { #expect(ClientHello.read(bytes.prefix(count)) == .incomplete(count < 5 ? 5 : bytes.count), "\(count)") }
    }

    @Test func aMessageMayComeInManyRecords() {
        let message = Hello().message
        for size in [3, 4, 5, 60] {
            let records = stride(from: 0, to: message.count, by: size).flatMap { Hello.record(message[$0..<min($0 + size, message.count)]) }
            #expect(ClientHello.read(records) == .name("api.example.com"), "\(size)")
            #expect(ClientHello.read(records.dropLast()) == .incomplete(records.count), "\(size)")
        }
        // And not in as many as anybody likes.
        #expect(ClientHello.read(message.prefix(100).flatMap { Hello.record([$0]) }) == .malformed)
    }

    @Test func aHelloWithoutANameIsNameless() {
        #expect(read { $0.extensions = nil } == .nameless)
        #expect(read { $0.extensions = [] } == .nameless)
        #expect(read { $0.extensions = [(0x0A, [0, 2, 0, 29])] } == .nameless)
    }

    /// What two readers could read differently.
    @Test func whatIsNotWrittenInTheOneWayIsMalformed() {
        let name = Hello.serverName("api.example.com")
        func names(_ bytes: [UInt8]) -> [(UInt16, [UInt8])] { [(0, bytes)] }
        let changes: [(String, (inout Hello) -> Void)] = [
            ("two names extensions", { $0.extensions = [(0, name), (0, name)] }),
            ("another extension twice", { $0.extensions = [(0, name), (10, []), (10, [])] }),
            ("two names in one", { $0.extensions = names(Hello.vector(2, ["a.b", "c.d"].flatMap { [0] + Hello.vector(2, Array($0.utf8)) })) }),
            ("another kind of name", { $0.extensions = names(Hello.vector(2, [1] + Hello.vector(2, Array("a.b".utf8)))) }),
            ("an empty list", { $0.extensions = names([0, 0]) }),
            ("nothing in it", { $0.extensions = names([]) }),
            ("bytes behind the list", { $0.extensions = names(name + [0]) }),
            ("a list that is shorter than said", { $0.extensions = names([0, 99] + name.dropFirst(2)) }),
            ("an empty name", { $0.extensions = names(Hello.serverName("")) }),
            ("a dot at the end", { $0.extensions = names(Hello.serverName("api.example.com.")) }),
            ("a NUL in the name", { $0.extensions = names(Hello.serverName("api.example.com\0.evil.example")) }),
            ("an address", { $0.extensions = names(Hello.serverName("10.0.0.1")) }),
            ("a name that is none", { $0.extensions = names(Hello.serverName("a..b")) }),
            ("bytes behind the extensions", { $0.afterExtensions = [0] }),
            ("a session id that is too long", { $0.session = [UInt8](repeating: 1, count: 33) }),
            ("half a cipher", { $0.ciphers = [0x13, 0x01, 0x13] }),
            ("no cipher", { $0.ciphers = [] }),
            ("no compression", { $0.compression = [] }),
        ]
        for (what, change) in changes { #expect(read(change) == .malformed, "\(what)") }
    }

    @Test func whatIsNoTLSIsMalformedAtOnce() {
        #expect(ClientHello.read(Array("GET / HTTP/1.1\r\n".utf8)) == .malformed)
        #expect(ClientHello.read(Array("SSH-2.0-x\r\n".utf8)) == .malformed)
        // An alert, application data, a record of SSL 2, an empty one, one that is too large, another message, a second one behind it.
        #expect(ClientHello.read(Hello.record([2, 40], type: 21)) == .malformed)
        #expect(ClientHello.read([22, 2, 0, 0, 10]) == .malformed)
        #expect(ClientHello.read([22, 3, 1, 0, 0]) == .malformed)
        #expect(ClientHello.read([22, 3, 1, 0x40, 1]) == .malformed)
        #expect(ClientHello.read(Hello.record([2, 0, 0, 1, 7])) == .malformed)
        #expect(ClientHello.read(Hello.record([1, 1, 0, 0])) == .malformed, "a message of 64 KiB")
        #expect(ClientHello.read(Hello.record(Hello().message + [1])) == .malformed)
        var bytes = Hello.record(Hello().message.prefix(20))
        bytes += Hello.record([1, 2, 3], type: 23)
        #expect(ClientHello.read(bytes) == .malformed, "another record within the message")
    }
}
