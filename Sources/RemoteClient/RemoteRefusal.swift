import JSONText
import MCP
import NIOCore

/// An HTTP answer that is not 2xx, as it was meant.
struct RemoteRefusal {
    let status: Int
    let error: MCPError?
    /// For people, in one line.
    let text: String

    init(_ status: Int, _ body: ByteBuffer) {
        let value = try? JSONValue(parsing: body.readableBytesSpan)
        self.status = status
        error = value.flatMap(Self.error)
        let said = error?.message ?? (Self.speaksOfHTTPS(body) ? "that port speaks HTTPS" : value.flatMap(Self.said))
        text = "the server answered HTTP \(status)" + (said.map { ": \($0)" } ?? "")
    }

    /// Whether the server may know nothing but 2024-11-05, which has another place to post to.
    var mayBeOfOldTransport: Bool {
        switch error?.code {
        case MCPError.Code.headerMismatch, MCPError.Code.missingClientCapability, MCPError.Code.unsupportedProtocolVersion: false
        default: [400, 404, 405].contains(status)
        }
    }

    /// Whether nothing else that is said to that URL can be answered either: it wants credentials, or is elsewhere.
    var isFinal: Bool { [401, 403, 407].contains(status) || (300..<400).contains(status) }

    /// Whether it says less of the protocol than of the way there.
    var isOfHTTP: Bool { error == nil || status == 401 || status == 403 }

    /// 302 and 303 say of a POST that it was taken, and that its answer is elsewhere.
    var mayHaveRun: Bool { status >= 500 || [302, 303].contains(status) }

    /// The error of an answer without a result.
    static func error(in message: JSONValue) -> MCPError? {
        guard let error = message["error"], let code = error["code"]?.intValue else { return nil }
        let data = error["data"].map { ByteBuffer(bytes: $0.serialized()) }
        return MCPError(code: code, message: error["message"]?.stringValue ?? "no reason given", data: data)
    }

    /// As servers and proxies tell who speaks plainly to their TLS.
    private static func speaksOfHTTPS(_ body: ByteBuffer) -> Bool {
        let beginning = String(decoding: body.readableBytesView.prefix(1_024), as: UTF8.self).lowercased()
        return beginning.contains("https port") || beginning.contains("https server")
    }

    private static func said(in body: JSONValue) -> String? {
        guard let text = body["message"]?.stringValue ?? body["error_description"]?.stringValue else { return nil }
        return String(text.split(whereSeparator: \.isNewline).joined(separator: " ").prefix(200))
    }
}
