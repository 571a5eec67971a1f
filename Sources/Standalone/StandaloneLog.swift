import Glibc
import JSONText

/// One line for whoever runs a bridge.
public struct StandaloneLine: Sendable, Equatable {
    public enum Level: String, Sendable {
        case trace, info, warning, error
    }

    public var level: Level
    public var message: String
    /// The server that it is of, where there are several.
    public var server: String?

    public init(_ level: Level, _ message: String, server: String? = nil) {
        self.level = level
        self.message = message
        self.server = server
    }

    /// What the engine says of a server: its standard error as it came, or news of a process.
    init(engine line: String, server: String?) {
        self.init(line.hasPrefix("[") ? .info : .warning, line, server: server)
    }

    /// For people.
    public var text: String { server.map { "\($0): \(message)" } ?? message }

    /// For programs: one object, with the time in UTC.
    public var json: String { json(at: Self.now()) }

    func json(at time: String) -> String {
        JSONValue.record(
            ("time", .string(time)), ("level", .string(level.rawValue)), ("message", .string(message)), ("server", server.map { .string($0) })
        ).text
    }

    /// As RFC 3339 has it, to the millisecond.
    private static func now() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        gmtime_r(&time.tv_sec, &parts)
        func padded(_ value: Int, _ width: Int = 2) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        let day = "\(padded(1900 + Int(parts.tm_year), 4))-\(padded(Int(parts.tm_mon) + 1))-\(padded(Int(parts.tm_mday)))"
        let clock = "\(padded(Int(parts.tm_hour))):\(padded(Int(parts.tm_min))):\(padded(Int(parts.tm_sec)))"
        return "\(day)T\(clock).\(padded(time.tv_nsec / 1_000_000, 3))Z"
    }
}
