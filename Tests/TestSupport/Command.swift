import CLinux
import Foundation

/// A command run to its end, its output collected.
public struct CommandResult: Sendable {
    public var status: Int32
    public var output: String
    public var errors: String

    /// The last line of standard output as JSON.
    public var lastJSON: [String: Any]? {
        output.split(separator: "\n").last.flatMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
    }
}

public enum Command {
    /// Runs `arguments[0]` with the rest; ended by force after `seconds`, and what it started with it.
    public static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String? = nil, directory: String? = nil, seconds: Double = 120
    ) async throws -> CommandResult {
        try await onOwnThread { try blocking(arguments, environment, input, directory, seconds) }
    }

    private static func blocking(
        _ arguments: [String], _ environment: [String: String], _ input: String?, _ directory: String?, _ seconds: Double
    ) throws -> CommandResult {
        // Files and not pipes: a background process that keeps a pipe open would hold the reader.
        let base = FileManager.default.temporaryDirectory.path + "/berth-command-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: base) }
        try Data((input ?? "").utf8).write(to: URL(fileURLWithPath: base + "/in"))
        let descriptors = [
            open(base + "/in", O_RDONLY | O_CLOEXEC), open(base + "/out", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600),
            open(base + "/err", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600),
        ]
        defer { for descriptor in descriptors { close(descriptor) } }

        let pid = try start(arguments, environment: environment, directory: directory, stdio: descriptors)
        let pidfd = clinux_pidfd_open(pid)
        defer { close(pidfd) }
        var one = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        while poll(&one, 1, Int32(seconds * 1_000)) < 0 && errno == EINTR {}
        if one.revents == 0 { ProcessTree.end(pid) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return CommandResult(
            status: code(status),
            output: String(decoding: try Data(contentsOf: URL(fileURLWithPath: base + "/out")), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: URL(fileURLWithPath: base + "/err")), as: UTF8.self))
    }

    /// Starts a program with this process's environment and `environment` over it; `stdio` become its descriptors 0, 1 and 2.
    public static func start(
        _ arguments: [String], environment: [String: String] = [:], directory: String? = nil, stdio: [Int32]
    ) throws -> pid_t {
        var variables = ProcessInfo.processInfo.environment
        variables.merge(environment) { _, own in own }
        // Not Foundation's Process: it keeps descriptors for every command, and hundreds of them end the test process.
        let pid = spawn(arguments, variables.map { "\($0)=\($1)" }, directory, stdio)
        guard pid > 0 else { throw CommandError(description: "\(arguments[0]): \(String(cString: strerror(-pid)))") }
        return pid
    }

    /// The exit code in what `waitpid` gave, or 128 and the signal.
    public static func code(_ status: Int32) -> Int32 { status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f) }

    private static func spawn(_ arguments: [String], _ environment: [String], _ directory: String?, _ descriptors: [Int32]) -> pid_t {
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        let folder = directory.map { strdup($0) } ?? nil
        defer {
            for pointer in argv + envp { free(pointer) }
            free(folder)
        }
        var options = clinux_spawn_options()
        options.stdio = (descriptors[0], descriptors[1], descriptors[2])
        options.directory = UnsafePointer(folder)
        return clinux_spawn(arguments[0], &argv, &envp, &options)
    }
}

struct CommandError: Error, CustomStringConvertible {
    let description: String
}
