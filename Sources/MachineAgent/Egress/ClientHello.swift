import Door

/// The server's name in the first message of a TLS client (RFC 8446 §4.1.2, RFC 6066 §3).
///
/// Strict: what two readers could read differently is no ClientHello. What is checked here must be what the server at the
/// other end reads.
enum ClientHello {
    enum Reading: Equatable {
        /// So many bytes are needed, from the first one, before anything more can be told.
        case incomplete(Int)
        /// Not TLS, or not in the one way in which it is written.
        case malformed
        /// A ClientHello, and it names no server.
        case nameless
        /// In the form of ``HostName/normal(_:)``.
        case name(String)
    }

    /// Of a ClientHello: with keys of the largest kind it has some 2 KiB.
    static let limit = 16 << 10
    /// That it may come in; and bytes with them.
    static let recordLimit = 64
    static let byteLimit = limit + 4 + 5 * recordLimit

    static func read(_ bytes: some Collection<UInt8>) -> Reading {
        var records = Cursor(bytes[...])
        var message: [UInt8] = []
        for _ in 0...recordLimit {
            // The message's own length, as soon as its head is there.
            if message.count >= 4 {
                let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
                guard message[0] == 1, length <= limit else { return .malformed }
                if message.count == 4 + length { return body(message[4...]) }
                // Nothing follows it before the server has answered.
                if message.count > 4 + length { return .malformed }
            }
            let before = bytes.count - records.rest.count
            if let type = records.rest.first, type != 22 { return .malformed }
            guard let head = records.take(5) else { return .incomplete(before + 5) }
            let numbers = head.map { Int($0) }
            let length = numbers[3] << 8 | numbers[4]
            guard numbers[1] == 3, length > 0, length <= limit else { return .malformed }
            guard let part = records.take(length) else { return .incomplete(before + 5 + length) }
            message += part
        }
        return .malformed
    }

    private static func body(_ bytes: ArraySlice<UInt8>) -> Reading {
        var body = Cursor(bytes)
        guard body.take(2 + 32) != nil,
            let session = body.vector(1), session.count <= 32,
            let ciphers = body.vector(2), ciphers.count >= 2, ciphers.count % 2 == 0,
            let compression = body.vector(1), !compression.isEmpty
        else { return .malformed }
        if body.rest.isEmpty { return .nameless }
        guard let list = body.vector(2), body.rest.isEmpty else { return .malformed }
        var extensions = Cursor(list)
        var seen: Set<Int> = []
        var found: ArraySlice<UInt8>?
        while !extensions.rest.isEmpty {
            guard let type = extensions.number(2), let content = extensions.vector(2), seen.insert(type).inserted else { return .malformed }
            if type == 0 { found = content }
        }
        guard let found else { return .nameless }
        return serverName(found)
    }

    private static func serverName(_ bytes: ArraySlice<UInt8>) -> Reading {
        var content = Cursor(bytes)
        guard let list = content.vector(2), content.rest.isEmpty else { return .malformed }
        var names = Cursor(list)
        // One name, of a host, and no other kind of name.
        guard names.byte() == 0, let name = names.vector(2), names.rest.isEmpty, name.last != UInt8(ascii: "."),
            name.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let normal = HostName.normal(String(decoding: name, as: UTF8.self))
        else { return .malformed }
        return .name(normal)
    }

    private struct Cursor<Bytes: Collection<UInt8>> where Bytes.SubSequence == Bytes {
        private(set) var rest: Bytes

        init(_ bytes: Bytes) { rest = bytes }

        mutating func byte() -> UInt8? { rest.popFirst() }

        mutating func number(_ size: Int) -> Int? { take(size)?.reduce(0) { $0 << 8 | Int($1) } }

        mutating func take(_ count: Int) -> Bytes? {
            guard rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }

        /// With its length in front, in `size` bytes.
        mutating func vector(_ size: Int) -> Bytes? {
            guard let length = number(size) else { return nil }
            return take(length)
        }
    }
}
