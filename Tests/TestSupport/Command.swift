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
    /// Runs `arguments[0]` with the rest; ended by force after `seconds`.
    public static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String? = nil, directory: String? = nil, seconds: Double = 120
    ) async throws -> CommandResult {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                do {
                    continuation.resume(returning: try blocking(arguments, environment, input, directory, seconds))
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    private static func blocking(
        _ arguments: [String], _ environment: [String: String], _ input: String?, _ directory: String?, _ seconds: Double
    ) throws -> CommandResult {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: arguments[0])
        process.arguments = Array(arguments.dropFirst())
        var variables = ProcessInfo.processInfo.environment
        variables.merge(environment) { _, own in own }
        process.environment = variables
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        // Files and not pipes: a background process that keeps a pipe open would hold the reader.
        let base = FileManager.default.temporaryDirectory.appendingPathComponent("berth-command-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: base) }
        let files = try ["in", "out", "err"].map { name -> URL in
            let url = base.appendingPathComponent(name)
            try Data((name == "in" ? input ?? "" : "").utf8).write(to: url)
            return url
        }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
        if ended.wait(timeout: .now() + seconds) == .timedOut {
            kill(process.processIdentifier, SIGKILL)
            ended.wait()
        }
        return CommandResult(
            status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
            output: String(decoding: try Data(contentsOf: files[1]), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: files[2]), as: UTF8.self))
    }
}
