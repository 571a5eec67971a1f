import FoundationEssentials
import NIOCore
public import Wire

/// The Machines API over HTTP: what the gateway drives our orchestrator with. Any Machines API with the same shapes will do
/// for the life cycle; images, uploads, logs and the host's report are Berth's own.
public struct MachinesClient: MachineControl, Sendable {
    let endpoint: Endpoint
    let token: String?
    let http: HTTPClient

    /// - Parameters:
    ///   - endpoint: the orchestrator's unix socket, where the peer's uid is the login, or an address.
    ///   - token: bearer token, for TCP.
    public init(endpoint: Endpoint, token: String? = nil, http: HTTPClient = HTTPClient()) {
        self.endpoint = endpoint
        self.token = token
        self.http = http
    }

    /// Closes idle connections.
    public func shutdown() async { await http.shutdown() }

    // MARK: Apps

    public func createApp(_ name: String, org: String, appRoot: [UInt8]) async throws {
        let body = NewApp(name: name, org_slug: org, berth: .init(app_root: Data(appRoot).base64URL))
        _ = try await send("POST", "/v1/apps", body)
    }

    public func deleteApp(_ name: String) async throws {
        do {
            _ = try await send("DELETE", "/v1/apps/\(URLPath.segment(name))?force=true", seconds: 90)
        } catch let error as MachineAPIError where error.status == 404 {
            return
        }
    }

    // MARK: Machines

    public func create(app: String, name: String, config: MachineConfig, skipLaunch: Bool) async throws -> Machine {
        let body = NewMachine(name: name, config: config, skip_launch: skipLaunch)
        return try await decode(Machine.self, send("POST", "/v1/apps/\(URLPath.segment(app))/machines", body))
    }

    public func machine(app: String, id: String) async throws -> Machine {
        try await decode(Machine.self, send("GET", Self.path(app, id), retryable: true))
    }

    public func machines(app: String) async throws -> [Machine] {
        try await decode([Machine].self, send("GET", "/v1/apps/\(URLPath.segment(app))/machines", retryable: true))
    }

    public func perform(_ action: MachineAction, app: String, id: String) async throws {
        _ = try await send("POST", "\(Self.path(app, id))/\(action.rawValue)")
    }

    public func wait(app: String, id: String, for state: MachineState, seconds: Int) async throws -> Machine {
        let seconds = min(max(seconds, 1), 60)
        _ = try await send(
            "GET", "\(Self.path(app, id))/wait?state=\(state.rawValue)&timeout=\(seconds)", seconds: Int64(seconds) + 15, retryable: true)
        return try await machine(app: app, id: id)
    }

    public func destroy(app: String, id: String) async throws {
        do {
            _ = try await send("DELETE", "\(Self.path(app, id))?force=true", seconds: 90)
        } catch let error as MachineAPIError where error.status == 404 {
            return
        }
    }

    /// Berth's own; another Machines API says the same of each machine's services.
    public func keep(app: String, running count: Int, images: [String] = []) async throws {
        _ = try await send("POST", "/v1/apps/\(URLPath.segment(app))/berth/running", Running(min: count, images: images))
    }

    private static func path(_ app: String, _ id: String) -> String { "/v1/apps/\(URLPath.segment(app))/machines/\(URLPath.segment(id))" }
}

private struct NewApp: Encodable {
    struct Own: Encodable { var app_root: String }
    var name: String
    var org_slug: String
    var berth: Own
}

private struct Running: Encodable {
    var min: Int
    var images: [String]
}

private struct NewMachine: Encodable {
    var name: String
    var config: MachineConfig
    var skip_launch: Bool
}

extension Data {
    /// Without padding, as the boot documents have it.
    fileprivate var base64URL: String {
        String(
            base64EncodedString().compactMap { character -> Character? in
                switch character {
                case "+": "-"
                case "/": "_"
                case "=": nil
                default: character
                }
            })
    }
}
