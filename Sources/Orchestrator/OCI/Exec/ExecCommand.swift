/// A command to run in a machine that runs.
public struct ExecCommand: Sendable, Equatable {
    /// The program, looked for in the machine's `PATH`, and its arguments.
    public var arguments: [String]
    /// What it reads from its standard input, whole.
    public var input: [UInt8]
    /// How long it may run before it is ended.
    public var timeout: Duration

    public init(arguments: [String], input: [UInt8] = [], timeout: Duration = .seconds(60)) {
        self.arguments = arguments
        self.input = input
        self.timeout = timeout
    }

    /// Bytes of each of its two outputs that are kept; what comes behind them is read, counted and thrown away.
    public static let outputLimit = 1 << 20

    /// All that it finds in its environment: nothing of the server's, and no secret.
    static let environment = MachineSpec.defaultEnvironment
}

/// How a command in a machine ended, and what it wrote.
public struct ExecResult: Sendable, Equatable {
    /// Why it ended.
    public enum Ending: String, Sendable {
        case itself
        /// It was ended when its time was over.
        case timeout
        /// It was ended because whoever asked for it had gone.
        case cancelled
    }

    /// What was kept of one output.
    public struct Output: Sendable, Equatable {
        public var bytes: [UInt8] = []
        /// How many bytes more there were.
        public var cut = 0

        public init(bytes: [UInt8] = [], cut: Int = 0) {
            self.bytes = bytes
            self.cut = cut
        }

        mutating func append(_ more: ArraySlice<UInt8>) {
            let kept = more.prefix(max(0, ExecCommand.outputLimit - bytes.count))
            bytes.append(contentsOf: kept)
            cut += more.count - kept.count
        }
    }

    /// As a shell has it: 128 and the signal's number where a signal ended it.
    public var exitCode: Int
    /// 0 where it ended by itself.
    public var signal: Int
    public var output = Output()
    public var errors = Output()
    public var ending = Ending.itself
    /// The kernel ended a process of it for want of memory.
    public var outOfMemory = false
    public var milliseconds = 0

    public init(exitCode: Int, signal: Int = 0) {
        self.exitCode = exitCode
        self.signal = signal
    }
}

/// Why a command was not run in a machine.
public enum ExecRefusal: Error, Sendable, Equatable {
    /// So many run already, in this machine or on this host.
    case tooMany(Int, inMachine: Bool)
    /// Every user id for commands still has a process, or may have.
    case noUser
    /// The machine is about to end.
    case ending
    /// Its runtime is none that Berth knows to put processes into machines.
    case runtime(String)
    /// The runtime's words: most often there is no such program.
    case notStarted(String)
}
