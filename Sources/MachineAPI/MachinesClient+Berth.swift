import FoundationEssentials
import NIOCore
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
        /// It keeps something in; else it is a service to machines.
        public var wall: Bool?

        public init(name: String, state: String, detail: String, remedy: String?, required: Bool?, wall: Bool? = nil) {
            self.wall = wall
            self.name = name
            self.state = state
            self.detail = detail
            self.remedy = remedy
            self.required = required
        }
    }

    public var layers: [Layer]

    public init(layers: [Layer]) { self.layers = layers }
}

/// Where the Machines API listens, and the token for it.
public struct MachinesBootstrap: Codable, Sendable, Equatable {
    public var machines_url: String
    public var machines_token: String
    /// The token that may also run commands in machines; only where the host lets anybody.
    public var machines_exec_token: String?

    public init(machines_url: String, machines_token: String, machines_exec_token: String? = nil) {
        self.machines_exec_token = machines_exec_token
        self.machines_url = machines_url
        self.machines_token = machines_token
    }
}

extension MachinesClient {
    /// The last lines that a machine wrote.
    public func logs(app: String, id: String, lines: Int) async throws -> String {
        let path = "/v1/apps/\(URLPath.segment(app))/machines/\(URLPath.segment(id))/berth/logs?tail=\(lines)"
        return String(buffer: try await send("GET", path, retryable: true))
    }
}

extension MachinesClient: ImageBuilding {
    /// Builds an image at the orchestrator; dropping the stream cancels the build.
    public func build(_ source: ImageSource, anew: Bool, accepting: [String]) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    let body = ByteBuffer(bytes: try JSONEncoder().encode(ImageBuildRequest(source: source, accept: accepting)))
                    let response = try await open("POST", "/v1/berth/images" + (anew ? "?anew=true" : ""), bytes: body, seconds: 60)
                    var isOver = false
                    for try await line in response.lines where !isOver {
                        let event = try decode(BuildLine.self, line).event
                        switch event {
                        case .step, .release: break
                        case .done, .failed: isOver = true
                        }
                        continuation.yield(event)
                    }
                    if !isOver {
                        throw MachineAPIError(status: 0, code: "outcome_unknown", message: "the orchestrator ended the build without a result")
                    }
                    continuation.finish()
                } catch let failure as ExchangeFailure {
                    continuation.finish(throwing: Self.brokenOff(failure))
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
    private enum Kind: String, Codable { case step, release, done, failed }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        switch try container.decode(Kind.self, forKey: .event) {
        case .step: event = .step(try container.decode(String.self, forKey: .text))
        case .release: event = .release(try ReleaseReport(from: decoder))
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
        case .release(let report):
            try container.encode(Kind.release, forKey: .event)
            try report.encode(to: encoder)
        case .done(let image):
            try container.encode(Kind.done, forKey: .event)
            try image.encode(to: encoder)
        case .failed(let failure):
            try container.encode(Kind.failed, forKey: .event)
            try failure.encode(to: encoder)
        }
    }
}
