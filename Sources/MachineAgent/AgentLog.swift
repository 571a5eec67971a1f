import Glibc

/// Lines to descriptor 2, which is a pipe that the orchestrator reads. Never waits: a reader that fell behind loses lines.
final class AgentLog {
    /// What a line is about, from the least important up.
    enum Level: Int {
        case debug, info, notice, warning, error
    }

    private let least: Level
    private var dropped = 0

    init(least: Level = .info) {
        self.least = least
    }

    func callAsFunction(_ level: Level, _ text: String) {
        guard level.rawValue >= least.rawValue else { return }
        var line = Self.line(level, text)
        if dropped > 0 { line = Self.line(.warning, "\(dropped) log lines dropped") + line }
        if Self.write(line) { dropped = 0 } else { dropped += 1 }
    }

    private static func line(_ level: Level, _ text: String) -> [UInt8] {
        // One line per record, whatever a server wrote; a pipe with room takes PIPE_BUF bytes at once.
        var line = Array("\(level): ".utf8)
        for byte in text.utf8.prefix(3900) { line.append(byte < 0x20 && byte != 0x09 || byte == 0x7F ? 0x20 : byte) }
        line.append(0x0A)
        return line
    }

    /// `POLLOUT` on a pipe means room for PIPE_BUF bytes, so the write does not wait even without O_NONBLOCK, which would
    /// be set for everybody who shares the pipe.
    private static func write(_ line: [UInt8]) -> Bool {
        for start in stride(from: 0, to: line.count, by: 4096) {
            var ready = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
            guard poll(&ready, 1, 0) == 1, Int32(ready.revents) & POLLOUT != 0 else { return false }
            let part = line[start..<min(line.count, start + 4096)]
            if part.withUnsafeBytes({ Glibc.write(2, $0.baseAddress, $0.count) }) < 0 { return false }
        }
        return true
    }
}
