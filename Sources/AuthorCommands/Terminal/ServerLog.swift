import JSONText
import NIOCore
import Standalone
import StdioBridge
import Synchronization

/// What a server says besides its answers, on standard error. A reader who does not read holds up no call.
final class ServerLog: Sendable {
    private static let kept = 20
    /// As a child tells it of its output.
    private static let noiseMark = "not a message on the server's stdout"

    private let output = LineOutput(descriptor: 2)
    private let isShown: Bool
    private let lines = Mutex<[String]>([])
    private let noise = Mutex(Noise.none)

    /// What a started server has printed that is no message.
    enum Noise: Sendable { case none, text, brokenMessage }

    /// - Parameter isShown: what a started server writes to its standard error is shown as it comes, and not only where the command fails.
    init(isShown: Bool) { self.isShown = isShown }

    /// A line of a started server's standard error.
    func take(_ line: String) {
        if line.hasPrefix(Self.noiseMark) { heard(noise: line) }
        if isShown { return output.offer(Printable.text(line)) }
        lines.withLock { lines in
            lines.append(line)
            if lines.count > Self.kept { lines.removeFirst() }
        }
    }

    /// The last of those lines, where they have not been shown: what it was started twice for, it has mostly said twice.
    func tell() {
        for line in Self.ofLastProcess(lines.withLock { $0 }) { output.offer(Printable.text(line)) }
    }

    /// What processes write is `[PID] …`; the rest is news of them.
    static func ofLastProcess(_ lines: [String]) -> [String] {
        func mark(_ line: String) -> Substring? { line.hasPrefix("[") ? line.prefix { $0 != " " } : nil }
        guard let last = lines.compactMap(mark).last else { return lines }
        return lines.filter { mark($0).map { $0 == last } ?? true }
    }

    private func heard(noise line: String) {
        let isBroken = line.contains("\"jsonrpc\"")
        let isNews = noise.withLock { noise in
            defer { noise = isBroken || noise == .brokenMessage ? .brokenMessage : .text }
            return isBroken && noise != .brokenMessage
        }
        // Whoever waits for what it was to be would wait for long.
        if isNews { note("warning: \(Self.broken)") }
    }

    private static let broken =
        "a message of the server cannot be read: each is a line of its own, with nothing before it; what else it prints goes to standard error"

    /// Why a server that prints may not answer; nil where it has printed nothing but messages.
    var noiseHint: String? {
        switch noise.withLock({ $0 }) {
        case .none: nil
        case .text: "what it prints on standard output may be a question, to which it took our message as the answer"
        case .brokenMessage: Self.broken
        }
    }

    /// A notification of the call under way.
    func show(_ message: ByteBuffer) {
        guard let value = try? JSONValue(parsing: message.readableBytesSpan), let params = value["params"] else { return }
        switch value["method"]?.stringValue {
        case "notifications/progress":
            let total = params["total"].map { "/\($0.text)" } ?? ""
            let text = params["message"]?.stringValue.map { " " + $0 } ?? ""
            note("progress \(params["progress"]?.text ?? "")\(total)\(text)")
        case "notifications/message":
            note("server \(params["level"]?.stringValue ?? "log"): " + (params["data"]?.stringValue ?? params["data"]?.text ?? ""))
        default: break
        }
    }

    /// A line about the server.
    func note(_ text: String) { output.offer(Output.named(Printable.line(text))) }

    /// The lines are out, or nobody reads them.
    func flush() { output.flush(within: 1_000) }
}
