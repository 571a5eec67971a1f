import JSONText
import NIOCore
import Standalone
import StdioBridge
import Synchronization

/// What a server says besides its answers, on standard error. A reader who does not read holds up no call.
final class ServerLog: Sendable {
    private static let kept = 20

    private let output = LineOutput(descriptor: 2)
    private let isShown: Bool
    private let lines = Mutex<[String]>([])

    /// - Parameter isShown: what a started server writes to its standard error is shown as it comes, and not only where the command fails.
    init(isShown: Bool) { self.isShown = isShown }

    /// A line of a started server's standard error.
    func take(_ line: String) {
        if isShown { return output.offer(Printable.text(line)) }
        lines.withLock { lines in
            lines.append(line)
            if lines.count > Self.kept { lines.removeFirst() }
        }
    }

    /// The last of those lines, where they have not been shown.
    func tell() {
        for line in lines.withLock({ $0 }) { output.offer(Printable.text(line)) }
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
