import HTTPTypes
public import Hummingbird
public import NIOCore

// Hummingbird's router answers in process, on a connection that Wire serves: it opens no listener of its own.

extension Request {
    /// A request with its whole body; nil when there is no such method.
    public init?(method: String, target: String, headers: some Sequence<(name: String, value: String)>, body: ByteBuffer) {
        guard let method = HTTPRequest.Method(rawValue: method) else { return nil }
        var fields = HTTPFields()
        var host: String?
        for (name, value) in headers {
            guard let name = HTTPField.Name(name) else { continue }
            if host == nil, name.canonicalName == "host" { host = value }
            fields.append(HTTPField(name: name, value: value))
        }
        self.init(
            head: HTTPRequest(method: method, scheme: "http", authority: host, path: target, headerFields: fields), body: RequestBody(buffer: body))
    }
}

extension ExchangeWriter {
    /// Answers with what `respond` does. An answer that breaks off is cut, so that what was sent does not pass for the whole.
    ///
    /// - Returns: Why it broke off; nil when it did not, or when nobody waits for it any more.
    public func answer(_ respond: () async throws -> Response) async -> (any Error)? {
        do {
            try await send(try await respond())
            return nil
        } catch is CancellationError {
            cut()
            return nil
        } catch {
            await abandon()
            return error
        }
    }

    /// Writes a router's response, in pieces where its length is not known, and ends it.
    ///
    /// - Throws: what the body threw, or `CancellationError`; the answer has no end then.
    func send(_ response: Response) async throws {
        let headers = response.headers.map { ($0.name.rawName, $0.value) }
        if response.body.contentLength != nil {
            let whole = Whole()
            try await response.body.write(whole)
            await reply(status: response.status.code, headers: headers, body: whole.buffer)
        } else {
            await open(status: response.status.code, headers: headers)
            try await response.body.write(Pieces(writer: self))
            await finish()
        }
    }
}

/// A body of known length, for one write.
private final class Whole: ResponseBodyWriter {
    var buffer = ByteBuffer()
    func write(_ buffer: ByteBuffer) async throws { self.buffer.writeImmutableBuffer(buffer) }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

/// A body in pieces, each waiting for the client to take it.
private struct Pieces: ResponseBodyWriter {
    let writer: ExchangeWriter
    func write(_ buffer: ByteBuffer) async throws { try await writer.write(buffer) }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
