import JSONText
public import MachineAPI

/// How many machines a connector has and for how long, as an admin said it; what is nil is the default.
public struct ConnectorLife: Codable, Sendable, Equatable {
    /// After how long without a call its machines are stopped or suspended; nil for never.
    public var idle: MachineConfig.Idle?

    public init(idle: MachineConfig.Idle? = nil) { self.idle = idle }
}

/// The same in a request: what is nil stays as it is.
public struct ConnectorLifeRequest: Codable, Sendable, Equatable {
    /// Seconds; 0 for never.
    public var idle_seconds: Int?
    /// `stop` or `suspend`.
    public var idle_action: String?

    public init(idle_seconds: Int? = nil, idle_action: String? = nil) {
        self.idle_seconds = idle_seconds
        self.idle_action = idle_action
    }

    /// - Returns: what `old` becomes; nil where nothing differs from the defaults.
    func life(changing old: ConnectorLife?) throws(ProvisioningFailure) -> ConnectorLife? {
        var new = old ?? ConnectorLife()
        if let idle_seconds {
            guard idle_seconds == 0 || MachineConfig.Idle.range.contains(idle_seconds) else {
                throw Self.failure("idle_seconds", "--idle \(idle_seconds) s is out of range", "1s to 30d, or off")
            }
            new.idle = idle_seconds == 0 ? nil : .init(seconds: idle_seconds, action: new.idle?.action ?? .stop)
        }
        if let idle_action {
            guard let action = MachineConfig.Idle.Action(rawValue: idle_action) else {
                throw Self.failure("idle_action", "--idle-action \(idle_action.prefix(32)) is none", "stop or suspend")
            }
            guard new.idle != nil else {
                throw Self.failure("idle_action", "--idle-action says what becomes of idle machines, and none are ever idle", "add --idle 15m")
            }
            new.idle?.action = action
        }
        return new == ConnectorLife() ? nil : new
    }

    private static func failure(_ field: String, _ message: String, _ hint: String) -> ProvisioningFailure {
        ProvisioningFailure(error: "invalid", message: message, field: "life.\(field)", hint: hint)
    }
}

extension ConnectorLife {
    /// As the control API shows it.
    var json: JSONValue {
        .record(("idle_seconds", idle.map { .int($0.seconds) }), ("idle_action", idle.map { .string($0.action.rawValue) }))
    }
}
