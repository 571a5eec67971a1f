/// A machine as the Machines API answers it (Fly's shapes), with Berth's own members under `berth`.
public struct Machine: Codable, Sendable, Equatable, Identifiable {
    /// 14 lower-case hex digits; for life.
    public var id: String
    /// Unique in its app.
    public var name: String
    public var state: MachineState
    public var region: String
    /// The configuration version, a ULID; not a boot.
    public var instance_id: String
    public var private_ip: String?
    public var config: MachineConfig
    public var image_ref: ImageReference?
    /// RFC 3339.
    public var created_at: String
    public var updated_at: String
    /// Newest first.
    public var events: [MachineEvent]?
    public var cordoned: Bool?
    /// Of the lease that the machine was created with; told once.
    public var nonce: String?
    public var berth: BerthMachine?

    public init(
        id: String, name: String, state: MachineState, region: String = "local", instance_id: String, private_ip: String? = nil,
        config: MachineConfig, image_ref: ImageReference? = nil, created_at: String, updated_at: String, events: [MachineEvent]? = nil,
        cordoned: Bool? = nil, berth: BerthMachine? = nil
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.region = region
        self.instance_id = instance_id
        self.private_ip = private_ip
        self.config = config
        self.image_ref = image_ref
        self.created_at = created_at
        self.updated_at = updated_at
        self.events = events
        self.cordoned = cordoned
        self.berth = berth
    }
}

/// What Berth's own providers add to a machine's answer (clients of Fly ignore it).
public struct BerthMachine: Codable, Sendable, Equatable {
    /// Where the agent answers: `unix:/…` on this host, else `http://[…]:port`. Absent while the machine is not up.
    public var door: String?
    /// ULID of the present cold boot: the fence in every token.
    public var boot_id: String?
    /// Isolation layers in force, for people: `user`, `pid`, `seccomp`, ….
    public var isolation: [String]?
    /// Why the machine is in this state, when that is not plain.
    public var reason: String?
    /// Since when it is in this state; RFC 3339.
    public var since: String?

    public init(door: String? = nil, boot_id: String? = nil, isolation: [String]? = nil, reason: String? = nil, since: String? = nil) {
        self.since = since
        self.door = door
        self.boot_id = boot_id
        self.isolation = isolation
        self.reason = reason
    }
}

/// States by Fly's names.
public enum MachineState: String, Codable, Sendable, CaseIterable {
    case created, starting, started, stopping, stopped, suspending, suspended, replacing, destroying, destroyed, failed

    /// A state that changes by itself.
    public var isTransient: Bool {
        switch self {
        case .starting, .stopping, .suspending, .replacing, .destroying: true
        case .created, .started, .stopped, .suspended, .destroyed, .failed: false
        }
    }
}

/// The part of Fly's machine configuration that Berth acts on.
public struct MachineConfig: Codable, Sendable, Equatable {
    /// An image by digest: `sha256:<64 hex>`.
    public var image: String
    public var `init`: Init?
    public var guest: Guest?
    /// Environment of the connector's processes; nothing secret.
    public var env: [String: String]?
    public var metadata: [String: String]?
    public var restart: Restart?
    public var stop_config: StopConfig?
    public var auto_destroy: Bool?
    public var berth: Own?

    /// What Berth's own provider knows beside Fly's.
    public struct Own: Codable, Sendable, Equatable {
        /// `host:port` and `*.suffix:port` that the machine may reach, by name; the port is 443 without one.
        public var egress: [String]?
        /// Hosts that may be reached at private addresses too.
        public var egress_private: [String]?
        /// Processors that it may use once it is ready, in the place of what `guest` says in whole ones.
        public var cpus: Double?
        /// `trusted`, `standard` (the default) or `untrusted`.
        public var profile: String?
        /// Path of the OCI runtime that makes it, if not the host's own.
        public var runtime: String?
        /// The server speaks Streamable HTTP there; STDIO otherwise.
        public var http: HTTP?
        /// What becomes of a machine that nobody calls.
        public var idle: Idle?
        /// Whether a request to an address of its app starts it; it does without this.
        public var autostart: Bool?
        /// Requests at once by its addresses.
        public var concurrency: Concurrency?
        /// Its door takes tokens for the app as a whole too (`aud` `app:<name>`), for calls that need no session of their own.
        public var app_tokens: Bool?
        public init(egress: [String]? = nil, egress_private: [String]? = nil, http: HTTP? = nil, idle: Idle? = nil) {
            self.idle = idle
            self.egress = egress
            self.egress_private = egress_private
            self.http = http
        }
    }

    /// How many requests a machine gets at once: above `soft_limit` others are preferred, above `hard_limit` they wait.
    public struct Concurrency: Codable, Sendable, Equatable {
        public var soft_limit: Int?
        /// 100 without one.
        public var hard_limit: Int?
        public init(soft_limit: Int? = nil, hard_limit: Int? = nil) {
            self.soft_limit = soft_limit
            self.hard_limit = hard_limit
        }
    }

    /// Where the machine's server listens, on its loopback device.
    public struct HTTP: Codable, Sendable, Equatable {
        public var port: Int
        /// Of its MCP endpoint.
        public var path: String
        public init(port: Int, path: String = "/mcp") {
            self.port = port
            self.path = path
        }

        /// `PORT` or `PORT/PATH`, as a command takes it and shows it; nil for what is neither.
        public init?(_ text: String) {
            let digits = text.prefix { $0 != "/" }
            guard digits.utf8.count <= 5, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(digits) else { return nil }
            self.port = port
            path = digits.endIndex == text.endIndex ? "/mcp" : String(text[digits.endIndex...])
        }

        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            port = try values.decode(Int.self, forKey: .port)
            path = try values.decodeIfPresent(String.self, forKey: .path) ?? "/mcp"
        }

        public var text: String { "\(port)\(path)" }
    }

    /// After how long without a call a machine is stopped or suspended.
    public struct Idle: Codable, Sendable, Equatable {
        public enum Action: String, Codable, Sendable, CaseIterable { case stop, suspend }
        /// 1 s to 30 days.
        public static let range = 1...2_592_000
        public var seconds: Int
        public var action: Action
        public init(seconds: Int, action: Action = .stop) {
            self.seconds = seconds
            self.action = action
        }
    }

    public struct Init: Codable, Sendable, Equatable {
        /// The argv of the STDIO server, overriding the image's command.
        public var exec: [String]?
        public init(exec: [String]? = nil) { self.exec = exec }
    }
    public struct Guest: Codable, Sendable, Equatable {
        public var cpu_kind: String?
        public var cpus: Int?
        /// MiB, ≥ 16.
        public var memory_mb: Int?
        /// Berth's: tasks at most.
        public var pids: Int?
        public init(cpu_kind: String? = nil, cpus: Int? = nil, memory_mb: Int? = nil, pids: Int? = nil) {
            self.cpu_kind = cpu_kind
            self.cpus = cpus
            self.memory_mb = memory_mb
            self.pids = pids
        }
    }
    public struct Restart: Codable, Sendable, Equatable {
        public enum Policy: String, Codable, Sendable {
            case no
            case onFailure = "on-failure"
            case always
        }
        public var policy: Policy
        public var max_retries: Int?
        public init(policy: Policy, max_retries: Int? = nil) {
            self.policy = policy
            self.max_retries = max_retries
        }
    }
    public struct StopConfig: Codable, Sendable, Equatable {
        public var signal: String?
        /// A duration such as `5s`.
        public var timeout: String?
        public init(signal: String? = nil, timeout: String? = nil) {
            self.signal = signal
            self.timeout = timeout
        }
    }

    public init(
        image: String, exec: [String]? = nil, guest: Guest? = nil, env: [String: String]? = nil, metadata: [String: String]? = nil,
        restart: Restart? = nil, stop_config: StopConfig? = nil, auto_destroy: Bool? = nil
    ) {
        self.image = image
        self.`init` = exec.map { Init(exec: $0) }
        self.guest = guest
        self.env = env
        self.metadata = metadata
        self.restart = restart
        self.stop_config = stop_config
        self.auto_destroy = auto_destroy
    }
}

/// Where an image came from, as resolved.
public struct ImageReference: Codable, Sendable, Equatable {
    public var repository: String
    public var digest: String
    public init(repository: String, digest: String) {
        self.repository = repository
        self.digest = digest
    }
}

/// One line of a machine's history.
public struct MachineEvent: Codable, Sendable, Equatable, Identifiable {
    /// ULID.
    public var id: String
    /// `launch`, `start`, `stop`, `exit`, `restart`, `destroy`, `oom`, `adopt`, `suspend`, `resume`, `autostop`, `update`, `cordon`, `uncordon`, `signal`, `exec`.
    public var type: String
    public var status: String
    /// `user`, `berth` for the reconciler, `kernel` for what the kernel did.
    public var source: String
    /// Milliseconds since 1970.
    public var timestamp: Int64
    public var reason: String?
    /// Of an `exit` or `oom`: how it ended. Of a `start` that is over: how long its steps took. Of an `exec`: what was run, and its end.
    public var request: Request?

    public struct Request: Codable, Sendable, Equatable {
        public var exit_event: Exit?
        /// Berth's: of a `start` that came to its end.
        public var start_event: StartStages?
        /// Berth's: of an `exec`.
        public var exec_event: Exec?
        public init(exit_event: Exit? = nil, start_event: StartStages? = nil, exec_event: Exec? = nil) {
            self.exit_event = exit_event
            self.start_event = start_event
            self.exec_event = exec_event
        }
    }

    /// A command that somebody ran in the machine. What it read and wrote is kept nowhere.
    public struct Exec: Codable, Sendable, Equatable {
        /// The first 4 KiB of its words.
        public var command: [String]
        /// Why it ended: `itself`, `timeout`, `cancelled`, `not_started`, or `unknown` where the orchestrator ended before it; nil
        /// while it runs.
        public var ended: String?
        public var exit_code: Int?
        public var exit_signal: Int?
        public var milliseconds: Int?
        public init(command: [String]) { self.command = command }
    }

    /// How a machine's first process ended.
    public struct Exit: Codable, Sendable, Equatable {
        /// Where it ended by itself.
        public var exit_code: Int?
        /// Where a signal ended it.
        public var signal: Int?
        public var oom_killed: Bool
        /// Somebody had asked for it.
        public var requested_stop: Bool
        /// RFC 3339.
        public var exited_at: String

        public init(exit_code: Int?, signal: Int?, oom_killed: Bool, requested_stop: Bool, exited_at: String) {
            self.exit_code = exit_code
            self.signal = signal
            self.oom_killed = oom_killed
            self.requested_stop = requested_stop
            self.exited_at = exited_at
        }
    }

    public init(id: String, type: String, status: String, source: String, timestamp: Int64, reason: String? = nil, request: Request? = nil) {
        self.request = request
        self.id = id
        self.type = type
        self.status = status
        self.source = source
        self.timestamp = timestamp
        self.reason = reason
    }
}
