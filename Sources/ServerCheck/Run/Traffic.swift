import Glibc
import JSONText
import NIOCore
import StdioBridge
import Synchronization

/// All that passed between the bridge and the server's processes.
final class Traffic: Sendable {
    struct Message: Sendable {
        var process: pid_t
        var isSent: Bool
        var method: String?
        var id: String?
        var isError: Bool
        var text: ByteBuffer

        init?(_ line: TappedLine) {
            let bytes = line.line.readableBytesView
            let end = bytes.lastIndex { $0 != 0x0A && $0 != 0x0D }.map { $0 + 1 } ?? bytes.startIndex
            let text = ByteBuffer(bytes: bytes[..<end])
            guard let envelope = try? EnvelopeScanner.scan(text.readableBytesSpan) else { return nil }
            process = line.process
            isSent = line.isSent
            method = envelope.method
            id = (envelope.id ?? envelope.requestID).map { String(decoding: text.readableBytesSpan.copy($0), as: UTF8.self) }
            isError = envelope.kind == .errorResponse
            self.text = text
        }

        var value: JSONValue? { try? JSONValue(parsing: text.readableBytesSpan) }
    }

    private struct State {
        var messages: [Message] = []
        var bytes = 0
        var left: [pid_t: [LeftProcess]] = [:]
        var watcher: (@Sendable (Message) -> Void)?
        var noise: [pid_t: Int] = [:]
        var noiseExample: String?
    }

    private static let maximumBytes = 128 << 20
    private let state = Mutex(State())

    func take(_ line: TappedLine) {
        guard let message = Message(line) else { return line.isSent ? () : takeNoise(line.line, of: line.process) }
        let watcher = state.withLock { state in
            if state.bytes < Self.maximumBytes {
                state.messages.append(message)
                state.bytes += message.text.readableBytes
            }
            return state.watcher
        }
        watcher?(message)
    }

    private func takeNoise(_ line: ByteBuffer, of process: pid_t) {
        // Several messages in an array are some too (2025-03-26).
        if let all = (try? JSONValue(parsing: line.readableBytesSpan))?.arrayValue, !all.isEmpty, all.allSatisfy({ $0["jsonrpc"] != nil }) { return }
        state.withLock { state in
            state.noise[process, default: 0] += 1
            if state.noiseExample == nil { state.noiseExample = String(decoding: line.readableBytesView.prefix(200), as: UTF8.self) }
        }
    }

    /// Lines of standard output that were no messages, of the process that wrote most of them, and the first of all.
    var noise: (lines: Int, example: String?) { state.withLock { ($0.noise.values.max() ?? 0, $0.noiseExample) } }

    func left(_ by: pid_t, _ processes: [LeftProcess]) { state.withLock { $0.left[by] = processes } }

    func leftBehind(by process: pid_t) -> [LeftProcess] { state.withLock { $0.left[process] ?? [] } }

    var messages: [Message] { state.withLock { $0.messages } }

    /// Tells every message from now on, on the bridge's thread, until it is set to nil.
    func watch(_ watcher: (@Sendable (Message) -> Void)?) { state.withLock { $0.watcher = watcher } }

    /// The last request with this method, and its answer.
    func lastExchange(_ method: String) -> (request: Message, answer: Message?)? {
        let all = messages
        guard let index = all.lastIndex(where: { $0.isSent && $0.method == method && $0.id != nil }) else { return nil }
        return (all[index], Self.answer(to: index, in: all))
    }

    /// What the server answered when a list was asked for last, in the order of its pages; nil where a page was not seen.
    func lastList(_ method: String, _ member: String) -> [JSONValue]? {
        let all = messages
        var pages: [[JSONValue]] = []
        for index in all.indices.reversed() where all[index].isSent && all[index].method == method && all[index].id != nil {
            guard let page = Self.answer(to: index, in: all)?.value?["result"]?[member]?.arrayValue else { return nil }
            pages.append(page)
            if all[index].value?["params"]?["cursor"] == nil { return pages.reversed().flatMap(\.self) }
        }
        return nil
    }

    private static func answer(to index: Int, in all: [Message]) -> Message? {
        let request = all[index]
        return all[index...].first { !$0.isSent && $0.method == nil && $0.id == request.id && $0.process == request.process }
    }
}
