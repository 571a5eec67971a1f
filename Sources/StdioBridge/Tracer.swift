import JSONText
public import NIOCore

/// One line between a bridge and a server's process, as it was.
public struct TappedLine: Sendable {
    public var process: Int32
    /// Written to the process; else read from it.
    public var isSent: Bool
    public var line: ByteBuffer
}

/// One line for each message between the bridge and one process: direction, method, id, time and size. A pure value.
public struct Tracer: Sendable {
    /// How tracing is switched on.
    public struct Settings {
        /// Whether arguments and results are shown too.
        public var bodies: Bool
        /// Takes a line; on the loop.
        public var line: (String) -> Void
        /// Takes every line as it is, after it was written to a process or read from it; on the loop. Nothing is masked.
        public var tap: ((TappedLine) -> Void)?

        public init(bodies: Bool, tap: ((TappedLine) -> Void)? = nil, line: @escaping (String) -> Void) {
            self.bodies = bodies
            self.tap = tap
            self.line = line
        }
    }

    /// A request without an answer yet.
    private struct Open {
        var method: String
        var at: NIODeadline
    }

    private let bodies: Bool
    private let mask: SecretMask
    private var toChild: [String: Open] = [:]
    private var toBridge: [String: Open] = [:]

    private static let bodyBytes = 2048
    /// Requests remembered of each side; one that never answers must not fill the memory.
    private static let capacity = 4096

    public init(bodies: Bool, mask: SecretMask = SecretMask()) {
        self.bodies = bodies
        self.mask = mask
    }

    /// A message that goes to the process.
    public mutating func sent(_ message: ByteBuffer, now: NIODeadline = .now()) -> String? {
        Self.line("→", message, now, asked: &toChild, answered: &toBridge).map { $0 + body(of: message) }
    }

    /// A message that came from it; nil for a line that is none.
    public mutating func received(_ message: ByteBuffer, now: NIODeadline = .now()) -> String? {
        Self.line("←", message, now, asked: &toBridge, answered: &toChild).map { $0 + body(of: message) }
    }

    private static func line(
        _ arrow: String, _ message: ByteBuffer, _ now: NIODeadline, asked: inout [String: Open], answered: inout [String: Open]
    ) -> String? {
        guard let envelope = try? EnvelopeScanner.scan(trimmed(message).readableBytesSpan) else { return nil }
        let size = "\(message.readableBytes) B"
        let id = envelope.id.map { String(decoding: message.readableBytesSpan.copy($0).prefix(64), as: UTF8.self) }
        let method = shown(envelope.method ?? "")
        switch envelope.kind {
        case .notification: return "\(arrow) \(method), \(size)"
        case .request:
            if let id, asked.count < capacity { asked[id] = Open(method: method, at: now) }
            return "\(arrow) \(method) id \(id ?? "null"), \(size)"
        case .response, .errorResponse:
            let open = id.flatMap { answered.removeValue(forKey: $0) }
            let of = open.map { " of \($0.method)" } ?? ""
            let time = open.map { ", \(milliseconds(now - $0.at)) ms" } ?? ""
            return "\(arrow) \(envelope.kind == .response ? "result" : "error")\(of) id \(id ?? "null")\(time), \(size)"
        }
    }

    private func body(of message: ByteBuffer) -> String {
        guard bodies, let envelope = try? EnvelopeScanner.scan(Self.trimmed(message).readableBytesSpan),
            let span = envelope.params ?? envelope.result ?? envelope.error
        else { return "" }
        let body = mask.head(of: message.readableBytesView.dropFirst(span.start).prefix(span.count), limit: Self.bodyBytes)
        return " " + String(decoding: body.bytes, as: UTF8.self) + (body.isCut ? "…" : "")
    }

    /// Without the newline: the scanner takes one value and nothing else.
    private static func trimmed(_ message: ByteBuffer) -> ByteBuffer {
        guard message.readableBytesView.last == 0x0A else { return message }
        return message.getSlice(at: message.readerIndex, length: message.readableBytes - 1) ?? message
    }

    /// A name that may be a hostile server's.
    private static func shown(_ method: String) -> String {
        String(String.UnicodeScalarView(method.unicodeScalars.prefix(128).map { $0.value < 0x20 || $0.value == 0x7F ? "\u{FFFD}" : $0 }))
    }

    /// With one digit after the point.
    private static func milliseconds(_ time: TimeAmount) -> String {
        let tenths = max(0, time.nanoseconds / 100_000)
        return "\(tenths / 10).\(tenths % 10)"
    }
}
