import AuthorCommands
import JSONText
import NIOCore
import Wire

/// Speaks JSON to the gateway's or the orchestrator's socket of one installation; root's peer credentials are the login.
struct ControlClient {
    let endpoint: Endpoint
    let installation: Installation
    private let client = HTTPClient()

    static func gateway(_ installation: Installation) -> ControlClient {
        ControlClient(endpoint: .unix(path: installation.controlSocket), installation: installation)
    }

    static func orchestrator(_ installation: Installation) -> ControlClient {
        ControlClient(endpoint: .unix(path: installation.machinesSocket), installation: installation)
    }

    func get(_ path: String) async throws -> JSONValue { try await json("GET", path) }

    /// One request, its JSON answer; anything but 2xx is thrown as the server words it.
    func json(_ method: String, _ path: String, _ body: JSONValue? = nil, seconds: Int64 = 90) async throws -> JSONValue {
        let response = try await execute(method, path, body.map { ByteBuffer(bytes: $0.serialized()) }, "application/json", seconds)
        let bytes = try await response.collect(upTo: 64 << 20)
        try Self.check(response.status, bytes)
        return bytes.readableBytes == 0 ? .null : try JSONValue(parsing: bytes.readableBytesSpan, limits: .init(maximumBytes: 64 << 20))
    }

    func text(_ path: String) async throws -> String {
        let response = try await execute("GET", path, nil, "application/json", 90)
        let bytes = try await response.collect(upTo: 64 << 20)
        try Self.check(response.status, bytes)
        return String(buffer: bytes)
    }

    /// A text that goes on as it is written; `each` hears its lines, empty ones too.
    func text(following path: String, each: (String) throws -> Void) async throws {
        let response = try await execute("GET", path, nil, "application/json", nil)
        guard (200..<300).contains(response.status) else {
            try Self.check(response.status, try await response.collect(upTo: 1 << 20))
            return
        }
        var rest: [UInt8] = []
        do {
            for try await piece in response.body {
                rest += piece.readableBytesView
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    try each(String(decoding: rest[..<end], as: UTF8.self))
                    rest.removeSubrange(...end)
                }
            }
        } catch is ExchangeFailure {
            throw Failure("the orchestrator ended or starts anew, and the log with it", hint: "run the command again")
        }
    }

    /// A request whose answer is one JSON object a line; `each` hears them as they come.
    func lines(_ method: String, _ path: String, _ body: JSONValue? = nil, each: (JSONValue) throws -> Void) async throws {
        let response = try await execute(method, path, body.map { ByteBuffer(bytes: $0.serialized()) }, "application/json", nil)
        guard (200..<300).contains(response.status) else {
            try Self.check(response.status, try await response.collect(upTo: 1 << 20))
            return
        }
        for try await line in response.lines where line.readableBytes > 0 {
            try each(try JSONValue(parsing: line.readableBytesSpan, limits: .init(maximumBytes: 64 << 20)))
        }
    }

    func upload(_ path: String, _ body: ByteBuffer) async throws -> JSONValue {
        let response = try await execute("POST", path, body, "application/x-tar", 300)
        let bytes = try await response.collect(upTo: 1 << 20)
        try Self.check(response.status, bytes)
        return try JSONValue(parsing: bytes.readableBytesSpan)
    }

    private func execute(
        _ method: String, _ path: String, _ body: ByteBuffer?, _ type: String, _ seconds: Int64?
    ) async throws -> HTTPClientResponse {
        try Rights.needRoot("Berth's sockets are root's")
        do {
            return try await client.execute(
                method, path, headers: body == nil ? [] : [("content-type", type)], body: body, to: endpoint,
                headTimeout: seconds.map { .seconds($0) })
        } catch let failure as ExchangeFailure where failure.kind == .notSent {
            guard StateLock.holder(installation.lock) == nil else {
                throw Failure("one of Berth's processes is starting again", hint: "try again in a moment; \(installation.log) tells why")
            }
            throw Failure(
                "Berth is not running with the state \(installation.state)",
                hint: "berth up --detach\(installation.stateOption)" + (RunningState.hint(besides: installation).map { "; " + $0 } ?? ""))
        }
    }

    /// Both error shapes: Berth's own, and Fly's on the Machines API.
    private static func check(_ status: Int, _ body: ByteBuffer) throws {
        guard !(200..<300).contains(status) else { return }
        guard let value = try? JSONValue(parsing: body.readableBytesSpan) else {
            throw Failure("the answer was HTTP \(status)", hint: "berth status")
        }
        throw Failure(
            value["message"]?.stringValue ?? value["error"]?.stringValue ?? "the answer was HTTP \(status)",
            hint: value["hint"]?.stringValue ?? value["details"]?["hint"]?.stringValue)
    }
}

extension JSONValue {
    static func strings(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }
    static func strings(_ values: [String: String]) -> JSONValue {
        .object(JSONObject(values.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
    }
    /// The member as text for a table cell.
    func cell(_ key: String) -> String {
        guard let value = self[key], !value.isNull else { return "-" }
        return value.stringValue ?? value.text
    }
}
