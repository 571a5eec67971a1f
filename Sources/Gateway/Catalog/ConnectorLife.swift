import JSONText
public import MachineAPI

/// Who shares a machine of a connector.
public enum Isolation: String, Codable, Sendable, CaseIterable {
    /// Everybody: sessions are kept apart inside of it.
    case app
    /// Nobody: each principal has a machine of its own.
    case principal
}

/// How many machines a connector has and for how long, as an admin said it; what is nil is the default.
public struct ConnectorLife: Codable, Sendable, Equatable {
    /// After how long without a call its machines are stopped or suspended; nil for the default.
    public var idle: MachineConfig.Idle?
    /// Never, whatever the default is.
    public var isNeverIdle: Bool?
    public var isolation: Isolation?
    /// Machines that are kept started; nil for none.
    public var min: Int?
    /// Machines at most; nil for the default.
    public var max: Int?
    /// How many seconds open sessions may stay on an older version after an update; nil for none.
    public var drain: Int?

    /// With a machine per principal.
    static let standardMax = 16
    static let standardIdle = MachineConfig.Idle(seconds: 900)
    static let maxRange = 1...256
    /// Seconds.
    static let drainRange = 0...86_400

    public init() {}

    /// What holds: a machine of one principal alone would stay for ever.
    var idleInForce: MachineConfig.Idle? {
        idle ?? (isolation == .principal && isNeverIdle != true ? Self.standardIdle : nil)
    }

    var maxInForce: Int { max ?? (isolation == .principal ? Self.standardMax : Swift.max(1, min ?? 0)) }
}

extension ConnectorDefinition {
    /// With the defaults.
    var lifeInForce: ConnectorLife { life ?? ConnectorLife() }
}

/// The same in a request: what is nil stays as it is.
public struct ConnectorLifeRequest: Codable, Sendable, Equatable {
    /// Seconds; 0 for never.
    public var idle_seconds: Int?
    /// `stop` or `suspend`.
    public var idle_action: String?
    /// `app` or `principal`.
    public var isolation: String?
    /// 0 for none.
    public var min: Int?
    public var max: Int?
    /// Seconds; 0 for none.
    public var drain_seconds: Int?

    public init(
        idle_seconds: Int? = nil, idle_action: String? = nil, isolation: String? = nil, min: Int? = nil, max: Int? = nil, drain_seconds: Int? = nil
    ) {
        self.drain_seconds = drain_seconds
        self.min = min
        self.idle_seconds = idle_seconds
        self.idle_action = idle_action
        self.isolation = isolation
        self.max = max
    }

    /// - Returns: what `old` becomes; nil where nothing differs from the defaults.
    func life(changing old: ConnectorLife?) throws(ProvisioningFailure) -> ConnectorLife? {
        var new = old ?? ConnectorLife()
        if let isolation {
            guard let known = Isolation(rawValue: isolation) else {
                throw Self.failure("isolation", "--isolation \(isolation.prefix(32)) is none", "app or principal")
            }
            new.isolation = known == .app ? nil : known
        }
        if let max {
            guard ConnectorLife.maxRange.contains(max) else {
                throw Self.failure("max", "--max \(max) is out of range", "1 to \(ConnectorLife.maxRange.upperBound) machines")
            }
            new.max = max
        }
        if let min {
            guard min == 0 || ConnectorLife.maxRange.contains(min) else {
                throw Self.failure("min", "--min \(min) is out of range", "0 to \(ConnectorLife.maxRange.upperBound) machines")
            }
            new.min = min == 0 ? nil : min
        }
        if new.isolation == .principal, new.min != nil {
            throw Self.failure("min", "--min is for machines that everybody shares", "a principal's machine is started by its first call")
        }
        if let min = new.min, min > new.maxInForce {
            throw Self.failure("max", "--max \(new.maxInForce) is less than --min \(min)", "give a greater --max, or a smaller --min")
        }
        if let idle_seconds {
            guard idle_seconds == 0 || MachineConfig.Idle.range.contains(idle_seconds) else {
                throw Self.failure("idle_seconds", "--idle \(idle_seconds) s is out of range", "1s to 30d, or off")
            }
            new.isNeverIdle = idle_seconds == 0 ? true : nil
            new.idle = idle_seconds == 0 ? nil : .init(seconds: idle_seconds, action: new.idle?.action ?? .stop)
        }
        if let idle_action {
            guard let action = MachineConfig.Idle.Action(rawValue: idle_action) else {
                throw Self.failure("idle_action", "--idle-action \(idle_action.prefix(32)) is none", "stop or suspend")
            }
            guard let idle = new.idleInForce else {
                throw Self.failure("idle_action", "--idle-action says what becomes of idle machines, and none are ever idle", "add --idle 15m")
            }
            new.idle = .init(seconds: idle.seconds, action: action)
        }
        if let drain_seconds {
            guard ConnectorLife.drainRange.contains(drain_seconds) else {
                throw Self.failure("drain_seconds", "--drain \(drain_seconds) s is out of range", "1s to 1d, or off")
            }
            new.drain = drain_seconds == 0 ? nil : drain_seconds
        }
        return new == ConnectorLife() ? nil : new
    }

    private static func failure(_ field: String, _ message: String, _ hint: String) -> ProvisioningFailure {
        ProvisioningFailure(error: "invalid", message: message, field: "life.\(field)", hint: hint)
    }
}

extension ConnectorLife {
    /// As the control API shows it: what holds.
    var json: JSONValue {
        .record(
            ("isolation", .string((isolation ?? .app).rawValue)), ("min", .int(min ?? 0)), ("max", .int(maxInForce)),
            ("idle_seconds", idleInForce.map { .int($0.seconds) }), ("idle_action", idleInForce.map { .string($0.action.rawValue) }),
            ("drain_seconds", drain.map { .int($0) }))
    }
}

extension ConnectorDefinition {
    /// Whether it is the same as `other` but for how many machines there are and what comes of them later: those that run are as good for both.
    func differsOnlyInNumber(from other: ConnectorDefinition) -> Bool {
        self != other && withoutNumbers == other.withoutNumbers
    }

    private var withoutNumbers: ConnectorDefinition {
        var same = self
        var life = lifeInForce
        life.min = nil
        life.max = nil
        life.drain = nil
        same.life = life
        return same
    }
}
