import Glibc
import JSONText

/// `POST …/lease`: a body, a query or neither.
struct LeaseRequest: Sendable, Equatable {
    static let standard: Int64 = 30
    static let longest: Int64 = 3_600

    var seconds: Int64
    var description: String

    init(body: [UInt8], ttl: String?) throws(MachineFailure) {
        let value = body.isEmpty ? .null : try JSONCoding.value(body)
        try BodyKeys.lease.check(value)
        let text = value["ttl"].flatMap { $0.isNull ? nil : $0.text } ?? ttl
        if let text { seconds = try Self.seconds(text, field: "ttl") } else { seconds = Self.standard }
        description = String((value["description"]?.stringValue ?? "").prefix(200))
    }

    static func seconds(_ text: String, field: String) throws(MachineFailure) -> Int64 {
        guard let seconds = Int64(text), (1...longest).contains(seconds) else {
            throw MachineFailure(.invalid, "invalid", "\(field) is no number of seconds from 1 to \(longest)", field: field, hint: "\(standard)")
        }
        return seconds
    }
}

/// `POST …/signal`: a name as Fly's description has it, or a number as its client sends it.
struct SignalRequest: Sendable, Equatable {
    var number: Int32

    /// What Fly knows.
    private static let known: [String: Int32] = [
        "SIGABRT": SIGABRT, "SIGALRM": SIGALRM, "SIGFPE": SIGFPE, "SIGHUP": SIGHUP, "SIGILL": SIGILL, "SIGINT": SIGINT, "SIGKILL": SIGKILL,
        "SIGPIPE": SIGPIPE, "SIGQUIT": SIGQUIT, "SIGSEGV": SIGSEGV, "SIGTERM": SIGTERM, "SIGTRAP": SIGTRAP, "SIGUSR1": SIGUSR1, "SIGUSR2": SIGUSR2,
    ]

    init(_ body: [UInt8]) throws(MachineFailure) {
        let value = try JSONCoding.value(body)
        try BodyKeys.signal.check(value)
        let named = value["signal"]?.stringValue.flatMap { Self.known[$0] }
        let numbered = value["signal"]?.intValue.flatMap { number in Self.known.values.first { $0 == Int32(exactly: number) } }
        guard let number = named ?? numbered else {
            throw MachineFailure(.badRequest, "invalid", "signal is no signal's name or number", field: "signal", hint: "SIGTERM")
        }
        // The agent is process 1 of its namespace: what it does not wait for never reaches it.
        guard [SIGTERM, SIGINT, SIGKILL].contains(number) else {
            throw MachineFailure(
                .invalid, "unsupported_signal", "a machine's agent takes no other signal than SIGTERM, SIGINT and SIGKILL", field: "signal",
                hint: "SIGTERM")
        }
        self.number = number
    }
}

/// `PUT` and `PATCH …/metadata`.
struct MetadataRequest: Sendable, Equatable {
    /// An empty value, or null, takes the key away.
    var values: [String: String]
    var version: String?
    var updatedAt: String?

    init(_ body: [UInt8]) throws(MachineFailure) {
        let value = try JSONCoding.value(body)
        try BodyKeys.metadata.check(value)
        guard let object = value["metadata"]?.objectValue else {
            throw MachineFailure(.badRequest, "invalid", "metadata is missing", field: "metadata")
        }
        values = [:]
        for (key, member) in object.members {
            guard let text = member.isNull ? "" : member.stringValue else {
                throw MachineFailure(.badRequest, "invalid", "metadata.\(key.prefix(64)) is no string", field: "metadata.\(key.prefix(64))")
            }
            values[key] = text
        }
        version = value["machine_version"]?.stringValue
        updatedAt = value["updated_at"]?.stringValue
    }

    /// One key.
    init(key: String, body: [UInt8]?) throws(MachineFailure) {
        guard let body else { self.values = [key: ""]; return }
        let value = try JSONCoding.value(body)
        try BodyKeys.metadataValue.check(value)
        guard let text = value["value"]?.stringValue else {
            throw MachineFailure(.badRequest, "invalid", "value is missing", field: "value")
        }
        values = [key: text]
        updatedAt = value["updated_at"]?.stringValue
    }
}
