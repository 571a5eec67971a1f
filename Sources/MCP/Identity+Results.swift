import Glibc
import JSONText
import NIOCore

extension ServerIdentity {
    /// A server that has not said who it is.
    static let unknown = ServerIdentity(serverInfo: ByteBuffer(string: #"{"name":"unknown","version":"0"}"#))

    /// The result of `server/discover`.
    func discoverResult() -> ByteBuffer {
        var out = ByteBufferAllocator().buffer(capacity: 256 + serverInfo.readableBytes + capabilities.readableBytes)
        out.writeString(#"{"resultType":"complete","supportedVersions":["\#(ProtocolVersion.modern)"],"capabilities":"#)
        out.writeImmutableBuffer(capabilities)
        writeInstructions(to: &out)
        out.writeString(#","ttlMs":0,"cacheScope":"private","_meta":{"\#(MetaKey.serverInfo)":"#)
        out.writeImmutableBuffer(serverInfo)
        out.writeStaticString("}}")
        return out
    }

    /// The result of `initialize`.
    func initializeResult(version: String) -> ByteBuffer {
        var out = ByteBufferAllocator().buffer(capacity: 128 + serverInfo.readableBytes + capabilities.readableBytes)
        out.writeString(#"{"protocolVersion":"\#(version)","capabilities":"#)
        out.writeImmutableBuffer(capabilities)
        out.writeStaticString(#","serverInfo":"#)
        out.writeImmutableBuffer(serverInfo)
        writeInstructions(to: &out)
        out.writeStaticString("}")
        return out
    }

    private func writeInstructions(to out: inout ByteBuffer) {
        guard let instructions else { return }
        out.writeStaticString(#","instructions":"#)
        out.writeImmutableBuffer(instructions)
    }

    /// Reads what both handshakes share.
    private init(members object: JSONSpan, in message: ByteBuffer) throws(ScanError) {
        self = .unknown
        let text = message.readableBytesSpan
        var members = JSONMembers(of: object)
        while let member = try members.next(in: text) {
            let first = text.byte(member.value)
            if member.hasKey("capabilities", in: text), first == UInt8(ascii: "{") {
                capabilities = message.copy(member.value)
            } else if member.hasKey("serverInfo", in: text), first == UInt8(ascii: "{") {
                serverInfo = message.copy(member.value)
            } else if member.hasKey("instructions", in: text), first == UInt8(ascii: "\"") {
                instructions = message.copy(member.value)
            } else if member.hasKey("_meta", in: text), first == UInt8(ascii: "{"),
                let info = try JSONMembers.value(of: "io.modelcontextprotocol/serverInfo", object: member.value, in: text),
                text.byte(info) == UInt8(ascii: "{")
            {
                serverInfo = message.copy(info)
            }
        }
    }

    /// Reads a result of `server/discover`; `nil` when it does not offer the modern revision, as a legacy server may well answer.
    init?(discoverResult result: JSONSpan, in message: ByteBuffer) {
        let text = message.readableBytesSpan
        guard text.byte(result) == UInt8(ascii: "{"), let versions = try? JSONMembers.value(of: "supportedVersions", object: result, in: text),
            Self.lists(ProtocolVersion.modern, versions, in: text), let identity = try? ServerIdentity(members: result, in: message)
        else { return nil }
        self = identity
    }

    /// Reads a result of `initialize`, and the revision that the server chose. `nil` when it is none.
    static func initialized(_ result: JSONSpan, in message: ByteBuffer) -> (ServerIdentity, version: String)? {
        let text = message.readableBytesSpan
        guard text.byte(result) == UInt8(ascii: "{"), let version = try? JSONMembers.value(of: "protocolVersion", object: result, in: text),
            let chosen = JSONString.unquote(version, in: text), var identity = try? ServerIdentity(members: result, in: message)
        else { return nil }
        // The tasks of 2025-11-25 are another wire than the modern extension and are never bridged.
        identity.capabilities = identity.capabilities.removingMembers { $0 == "tasks" }
        return (identity, chosen)
    }

    /// Whether the array at `span` holds `string`.
    static func lists(_ string: String, _ span: JSONSpan, in text: RawSpan) -> Bool {
        guard text.byte(span) == UInt8(ascii: "[") else { return false }
        var elements = JSONElements(of: span)
        while let element = try? elements.next(in: text) {
            if JSONString.unquote(element, in: text) == string { return true }
        }
        return false
    }

    /// Whether the server declares `capability`.
    func declares(_ capability: StaticString) -> Bool {
        let whole = JSONSpan(start: 0, end: capabilities.readableBytes)
        return (try? JSONMembers.value(of: capability, object: whole, in: capabilities.readableBytesSpan)).flatMap { $0 } != nil
    }
}

extension RawSpan {
    /// The first byte of a value; zero for an empty span.
    func byte(_ span: JSONSpan) -> UInt8 {
        guard span.start >= 0, span.start < byteCount, !span.isEmpty else { return 0 }
        return unsafeLoad(fromByteOffset: span.start, as: UInt8.self)
    }
}

extension ByteBuffer {
    /// A copy of its own, for what outlives the message.
    func copy(_ span: JSONSpan) -> ByteBuffer { ByteBuffer(bytes: bytes(span)) }

    /// This object text without the members whose key `removing` picks; unchanged when there are none.
    func removingMembers(_ removing: (String) -> Bool) -> ByteBuffer {
        var splice = Splice()
        let text = readableBytesSpan
        try? splice.editObject(JSONSpan(start: 0, end: readableBytes), in: text, removing: { $0.keyString(in: text).map(removing) ?? false })
        return applying(splice)
    }

    /// As a line for STDIO: on one line, ended by a newline. A raw newline in JSON text is white space, so a space says the same.
    ///
    /// Consuming, so that the last newline is written in place where nobody else holds the buffer.
    consuming func asLine() -> ByteBuffer {
        var line = self
        let isBroken = line.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.map { memchr($0, 0x0A, bytes.count) != nil || memchr($0, 0x0D, bytes.count) != nil } ?? false
        }
        if isBroken {
            line.withUnsafeMutableReadableBytes { bytes in
                for index in bytes.indices where bytes[index] == 0x0A || bytes[index] == 0x0D { bytes[index] = 0x20 }
            }
        }
        line.writeInteger(UInt8(ascii: "\n"))
        return line
    }

    /// The integer that the span's text is; `nil` for everything else.
    func integer(_ span: JSONSpan) -> Int? {
        guard span.count <= 19, !span.isEmpty else { return nil }
        var value = 0
        for byte in readableBytesView[(readableBytesView.startIndex + span.start)..<(readableBytesView.startIndex + span.end)] {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            guard !overflow else { return nil }
            let (sum, carried) = product.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            guard !carried else { return nil }
            value = sum
        }
        return value
    }
}
