import FoundationEssentials
public import NIOCore
import Wire

/// What the orchestrator says about its host.
public struct HostReport: Codable, Sendable, Equatable {
    /// One layer of isolation, or something that machines need.
    public struct Layer: Codable, Sendable, Equatable {
        public var name: String
        /// `active`, `degraded` or `missing`.
        public var state: String
        public var detail: String
        /// What to do about it, when not active.
        public var remedy: String?
        public var required: Bool?

        public init(name: String, state: String, detail: String, remedy: String?, required: Bool?) {
            self.name = name
            self.state = state
            self.detail = detail
            self.remedy = remedy
            self.required = required
        }
    }

    public var layers: [Layer]
    /// What the host holds of machines that no row owns; for root.
    public var leftovers: [String]?

    public init(layers: [Layer], leftovers: [String]?) {
        self.layers = layers
        self.leftovers = leftovers
    }
}

/// Where the Machines API listens, and the token for it.
public struct MachinesBootstrap: Codable, Sendable, Equatable {
    public var machines_url: String
    public var machines_token: String

    public init(machines_url: String, machines_token: String) {
        self.machines_url = machines_url
        self.machines_token = machines_token
    }
}

extension MachinesClient {
    /// Hands in a folder as a tar archive; only for root on the unix socket.
    /// - Returns: `sha256:…`, for ``ImageSource/upload``.
    public func upload(_ tar: ByteBuffer) async throws -> String {
        struct Answer: Decodable { var digest: String }
        let answer = try await send("POST", "/v1/berth/uploads", bytes: tar, type: "application/x-tar", seconds: 300)
        return try decode(Answer.self, answer).digest
    }

    /// The last lines that a machine wrote.
    public func logs(app: String, id: String, lines: Int) async throws -> String {
        let path = "/v1/apps/\(URLPath.segment(app))/machines/\(URLPath.segment(id))/berth/logs?tail=\(lines)"
        return String(buffer: try await send("GET", path, retryable: true))
    }

    /// Which layers of isolation the host offers.
    public func doctor() async throws -> HostReport {
        try await decode(HostReport.self, send("GET", "/v1/berth/doctor", retryable: true))
    }

    /// Address and token of the TCP listener; only for root on the unix socket.
    public func bootstrap() async throws -> MachinesBootstrap {
        try await decode(MachinesBootstrap.self, send("GET", "/v1/berth/bootstrap", retryable: true))
    }

    /// Stops every machine until the next orchestrator; only for root on the unix socket.
    /// - Returns: how many ran.
    public func stopAll() async throws -> Int {
        struct Answer: Decodable { var stopped: Int }
        return try await decode(Answer.self, send("POST", "/v1/berth/stop-all", seconds: 330)).stopped
    }
}

extension MachinesClient: ImageBuilding {
    /// Builds an image at the orchestrator; dropping the stream cancels the build.
    public func build(_ source: ImageSource) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    let body = ByteBuffer(bytes: try JSONEncoder().encode(source))
                    let response = try await open("POST", "/v1/berth/images", bytes: body, seconds: 60)
                    var isOver = false
                    for try await line in response.lines where !isOver {
                        let event = try decode(BuildLine.self, line).event
                        if case .step = event {} else { isOver = true }
                        continuation.yield(event)
                    }
                    if !isOver {
                        throw MachineAPIError(status: 0, code: "outcome_unknown", message: "the orchestrator ended the build without a result")
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { reason in
                if case .cancelled = reason { task.cancel() }
            }
        }
    }
}

/// An ``ImageBuildEvent`` as one line of NDJSON.
public struct BuildLine: Codable, Sendable {
    /// What the line says.
    public let event: ImageBuildEvent

    public init(_ event: ImageBuildEvent) { self.event = event }

    private enum Key: String, CodingKey { case event, text }
    private enum Kind: String, Codable { case step, done, failed }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        switch try container.decode(Kind.self, forKey: .event) {
        case .step: event = .step(try container.decode(String.self, forKey: .text))
        case .done: event = .done(try BuiltImage(from: decoder))
        case .failed: event = .failed(try ImageBuildFailure(from: decoder))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        switch event {
        case .step(let text):
            try container.encode(Kind.step, forKey: .event)
            try container.encode(text, forKey: .text)
        case .done(let image):
            try container.encode(Kind.done, forKey: .event)
            try image.encode(to: encoder)
        case .failed(let failure):
            try container.encode(Kind.failed, forKey: .event)
            try failure.encode(to: encoder)
        }
    }
}
