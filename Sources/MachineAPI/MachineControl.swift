/// Life-cycle control of machines, whoever runs them: our orchestrator and Fly speak the same REST behind it.
public protocol MachineControl: Sendable {
    /// Creates the app if it is not there. `appRoot` (32 bytes) is write-only: no answer ever carries it.
    func createApp(_ name: String, org: String, appRoot: [UInt8]) async throws
    /// Destroys the app's machines and the app; an unknown app is success.
    func deleteApp(_ name: String) async throws
    /// Creates (and, unless `skipLaunch`, starts) a machine under a name unique in the app: safe to repeat.
    func create(app: String, name: String, config: MachineConfig, skipLaunch: Bool) async throws -> Machine
    /// - Throws: ``MachineAPIError`` with status 404 for an unknown machine.
    func machine(app: String, id: String) async throws -> Machine
    func machines(app: String) async throws -> [Machine]
    /// Starts, stops or restarts; answers before the state is reached (use `wait`).
    func perform(_ action: MachineAction, app: String, id: String) async throws
    /// Long-polls until the machine is in `state`, 60 s at most, and answers it as it is then.
    func wait(app: String, id: String, for state: MachineState, seconds: Int) async throws -> Machine
    /// Destroys whatever its state; an unknown machine is success.
    func destroy(app: String, id: String) async throws
    /// How many of an app's machines stay started, whether anybody calls them or not, and which images its next machine may need, beside
    /// those that machines have: 32 at most.
    func keep(app: String, running count: Int, images: [String]) async throws
}

/// Verbs on one machine.
public enum MachineAction: String, Sendable { case start, stop, restart, cordon, uncordon }

/// An answer of the Machines API other than success, in Fly's shape: human text, stable code.
public struct MachineAPIError: Error, Sendable, Equatable {
    /// HTTP status; 0 when nobody answered.
    public var status: Int
    public var code: String
    public var message: String
    /// What to do about it, where the answer says so.
    public var hint: String?
    /// `details.reason`: why, for programs, where the code has several.
    public var reason: String?
    /// When it is worth asking again.
    public var retryAfterSeconds: Int?

    public init(status: Int, code: String, message: String, hint: String? = nil, reason: String? = nil, retryAfterSeconds: Int? = nil) {
        self.reason = reason
        self.retryAfterSeconds = retryAfterSeconds
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
    }
}
