/// A refusal of the Machines API, in words for people and for programs.
struct MachineFailure: Error, Sendable, Equatable, CustomStringConvertible {
    enum Status: Int, Sendable {
        case badRequest = 400, unauthorized = 401, forbidden = 403, notFound = 404, methodNotAllowed = 405, timeout = 408, conflict = 409
        case preconditionFailed = 412, tooLarge = 413, invalid = 422, internalError = 500, notImplemented = 501, badGateway = 502, unavailable = 503
    }

    var status: Status
    /// Stable.
    var code: String
    var message: String
    var field: String?
    var hint: String?
    /// Further members of `details`.
    var details: [String: String] = [:]
    /// When it is worth asking again; `Retry-After`.
    var retryAfterSeconds: Int?

    init(_ status: Status, _ code: String, _ message: String, field: String? = nil, hint: String? = nil, details: [String: String] = [:]) {
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.hint = hint
        self.details = details
    }

    var description: String { hint.map { "\(message) (\($0))" } ?? message }

    static func unknownApp(_ name: String) -> MachineFailure {
        MachineFailure(.notFound, "not_found", "there is no app named \(name.prefix(64))", field: "app")
    }

    static func unknownMachine(_ id: String) -> MachineFailure {
        MachineFailure(.notFound, "not_found", "there is no machine \(id.prefix(64))", field: "machine")
    }

    static let goingDown = MachineFailure(
        .unavailable, "going_down", "this orchestrator stops its machines and ends", hint: "try again when it is up")
}
