/// A rootfs ready to be mounted: shared, read-only layer directories, lowest first.
public struct ImageLayers: Sendable, Equatable {
    public var layers: [String]
    public var command: [String]
    public var directory: String
    public var environment: [String: String]

    public init(layers: [String], command: [String], directory: String, environment: [String: String]) {
        self.layers = layers
        self.command = command
        self.directory = directory
        self.environment = environment
    }
}

/// Finds an image by digest; `nil` when the store does not hold it.
public protocol ImageLookup: Sendable {
    func layers(of digest: String) async throws -> ImageLayers?
}

/// Runs one command to its end in a fresh machine of its own (an image build): no network but the named hosts, one
/// writable folder.
public struct BuildJob: Sendable {
    /// For progress, names and logs: `[a-z0-9-]`.
    public var name: String
    public var layers: [String]
    public var command: [String]
    public var environment: [String: String]
    /// Host folder mounted writable (noexec off: tools run from it) at `/out`, owned by the job's uid; bounded by `outputBytes`.
    public var output: String
    /// Host folders mounted read-only: (source, destination).
    public var inputs: [(source: String, destination: String)]
    /// `host:port` pairs the job may reach; `indexHosts` among them may resolve to private addresses.
    public var egress: [String]
    /// Further ones, at public addresses only.
    public var publicEgress: [String]
    public var memoryBytes: Int
    public var pids: Int
    public var outputBytes: Int
    public var timeoutSeconds: Int

    public init(
        name: String, layers: [String], command: [String], environment: [String: String], output: String,
        inputs: [(source: String, destination: String)], egress: [String], publicEgress: [String] = [], memoryBytes: Int = 1 << 30, pids: Int = 128,
        outputBytes: Int = 2 << 30, timeoutSeconds: Int = 600
    ) {
        self.name = name
        self.layers = layers
        self.command = command
        self.environment = environment
        self.output = output
        self.inputs = inputs
        self.egress = egress
        self.publicEgress = publicEgress
        self.memoryBytes = memoryBytes
        self.pids = pids
        self.outputBytes = outputBytes
        self.timeoutSeconds = timeoutSeconds
    }
}

/// How a job ended.
public struct BuildJobResult: Sendable, Equatable {
    public var exitCode: Int
    /// The last 16 KiB of its output.
    public var log: String
    public var outOfMemory: Bool
    public var timedOut: Bool

    public init(exitCode: Int, log: String, outOfMemory: Bool = false, timedOut: Bool = false) {
        self.exitCode = exitCode
        self.log = log
        self.outOfMemory = outOfMemory
        self.timedOut = timedOut
    }
}

/// Runs build jobs; implemented over the OCI runtime, used by the image sources.
public protocol BuildMachine: Sendable {
    /// - Parameter line: called for each line of the job's output, for progress.
    func run(_ job: BuildJob, line: @escaping @Sendable (String) -> Void) async throws -> BuildJobResult
}
