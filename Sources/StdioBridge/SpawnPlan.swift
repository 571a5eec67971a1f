import Glibc

/// One process to start. Nothing passes through a shell; the environment is exactly what stands here; of the descriptors
/// only 0, 1, 2 (and 3 when there is `input`) are open in it; it leads a session of its own.
public struct SpawnPlan: Sendable {
    /// What the process's standard descriptors are.
    public enum Streams: Sendable, Equatable {
        /// Three pipes, whose other ends the caller gets.
        case pipes
        /// stdin empty; stdout and stderr are this descriptor of ours, or `nowhere`.
        case output(Int32)
    }

    /// What is written to it is gone.
    public static let nowhere: Int32 = -1

    /// The program's path; see `ExecutablePath` for a name.
    public var path: String
    public var arguments: [String]
    /// `NAME=value`, in order.
    public var environment: [String]
    public var directory: String?
    public var streams: Streams
    /// Written to the process's descriptor 3, which it reads to the end before anything else.
    public var input: [UInt8]?
    /// What keeps the credentials out of the child's log.
    public var mask: SecretMask
    /// A process to run once this one is gone: it removes what is left of it.
    public var afterwards: Afterwards?

    /// See `SpawnPlan.afterwards`.
    public struct Afterwards: Sendable {
        /// What its maker knows it by; nothing to the bridge.
        public var id: UInt32
        /// The exit status of one that ran out of time and is not to be tried again.
        public static let outOfTime: Int32 = 75
        public var path: String
        public var arguments: [String]

        public init(id: UInt32 = 0, path: String, arguments: [String]) {
            self.id = id
            self.path = path
            self.arguments = arguments
        }
    }

    public init(
        path: String, arguments: [String], environment: [String] = [], directory: String? = nil, streams: Streams = .pipes,
        input: [UInt8]? = nil, mask: SecretMask = SecretMask(), afterwards: Afterwards? = nil
    ) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.streams = streams
        self.input = input
        self.mask = mask
        self.afterwards = afterwards
    }
}

/// Finds the file of a program's name, as `execvp` would.
public enum ExecutablePath {
    /// The path of `name`: itself when it holds a slash, else the first executable of that name along `path`.
    public static func find(_ name: String, path: String) -> String? {
        if name.isEmpty { return nil }
        if name.utf8.contains(0x2F) { return name }
        for directory in path.split(separator: ":", omittingEmptySubsequences: true) {
            let candidate = directory + "/" + name
            if access(candidate, X_OK) == 0, !isDirectory(candidate) { return candidate }
        }
        return nil
    }

    /// The program that the first line of a script (`#!`) names and that is not there: the kernel then says that the script is not there.
    public static func missingInterpreter(of file: String) -> String? {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // All that the kernel looks at.
        var head = [UInt8](repeating: 0, count: 256)
        let count = head.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        guard count > 2, head.starts(with: "#!".utf8) else { return nil }
        let line = head[2..<count].prefix { $0 != 0x0A }.drop { $0 == 0x20 || $0 == 0x09 }
        let name = String(decoding: line.prefix { $0 != 0x20 && $0 != 0x09 && $0 != 0 }, as: UTF8.self)
        // A relative one is looked for where the script is started.
        guard name.hasPrefix("/"), access(name, F_OK) != 0, errno == ENOENT else { return nil }
        return name
    }

    private static func isDirectory(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }
}
