import Door
import JSONText
import NIOCore

/// How a machine is used, as its agent says.
public struct MachineUse: Sendable, Equatable {
    /// Sessions that hold something in it.
    public var sessions: Int
    /// As many at most; nil where that is not known.
    public var limit: Int?
    /// How long nobody has called; nil while somebody does.
    public var idle: Duration?

    public init(sessions: Int, limit: Int? = nil, idle: Duration?) {
        self.limit = limit
        self.sessions = sessions
        self.idle = idle
    }
}

/// How the control plane asks machines; the data path has the keys and the connections.
public struct MachineAsking: Sendable {
    /// nil when the agent does not tell within a second: one that takes longer has enough to do.
    public var use: @Sendable (MachineAddress, _ app: String) async -> MachineUse?
    /// Has the agent take no more calls if nobody has used it for so long.
    ///
    /// - Returns: whether it takes none from now on.
    public var drainIfIdle: @Sendable (MachineAddress, _ app: String, Duration) async -> Bool

    public init(
        use: @escaping @Sendable (MachineAddress, _ app: String) async -> MachineUse?,
        drainIfIdle: @escaping @Sendable (MachineAddress, _ app: String, Duration) async -> Bool
    ) {
        self.use = use
        self.drainIfIdle = drainIfIdle
    }

    /// Knows of nobody.
    public static let deaf = MachineAsking(use: { _, _ in nil }, drainIfIdle: { _, _, _ in false })
}

extension GatewayDataPath {
    func use(of address: MachineAddress, app: String) async -> MachineUse? {
        guard let answer = try? await ask(.stats, of: address, app: app, within: .seconds(1)), answer.status == 200,
            let stats = try? JSONValue(parsing: answer.body.readableBytesSpan), let sessions = stats["children"]?.intValue
        else { return nil }
        // A process that waits for the next session is nobody's.
        let spare = stats["spare"]?.intValue == nil ? 0 : 1
        return MachineUse(sessions: sessions - spare, limit: stats["limit"]?.intValue, idle: stats["idle_ms"]?.intValue.map { .milliseconds($0) })
    }

    func drainIfIdle(_ address: MachineAddress, app: String, for time: Duration) async -> Bool {
        let milliseconds = time.components.seconds * 1_000 + time.components.attoseconds / 1_000_000_000_000_000
        let answer = try? await ask(.drain, of: address, app: app, field: (DoorHeaders.ifIdle, "\(milliseconds)"))
        return answer?.status == 202
    }
}
