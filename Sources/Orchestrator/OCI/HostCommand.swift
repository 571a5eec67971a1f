import CLinux
import Foundation
import Glibc

/// How a command on the host ended.
public struct HostCommandResult: Sendable, Equatable {
    /// Exit code; -1 when a signal ended it.
    public let code: Int32
    public let signal: Int32
    /// What it wrote to standard output and error, the last `outputLimit` bytes.
    public let output: [UInt8]

    public var isSuccess: Bool { code == 0 && signal == 0 }
    public var text: String { String(decoding: output, as: UTF8.self) }
}

/// Runs one-shot commands of the host from a thread of their own.
///
/// A process that makes machines is a subreaper and reaps what nobody waits for, so its commands go through here, not
/// through Foundation's `Process`.
public enum HostCommand {
    /// Runs a command to its end.
    ///
    /// - Parameters:
    ///   - path: the executable; it is not looked up.
    ///   - environment: all of it; nothing is inherited.
    ///   - timeout: after it, the command's process group is killed.
    /// - Throws: `OCIError` `.timedOut`, or `.system` when it could not be started.
    public static func run(
        _ path: String, _ arguments: [String], environment: [String] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
        directory: String? = nil, timeout: Duration = .seconds(60), outputLimit: Int = 64 << 10
    ) async throws -> HostCommandResult {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        try runBlocking(
                            path, arguments, environment: environment, directory: directory, timeout: timeout, outputLimit: outputLimit)
                    })
            }
        }
    }

    static func runBlocking(
        _ path: String, _ arguments: [String], environment: [String], directory: String?, timeout: Duration, outputLimit: Int
    ) throws(OCIError) -> HostCommandResult {
        var pipe = try PipeEnds()
        let child = try ChildProcess(
            path, arguments, environment: environment, directory: directory, stdio: (-1, pipe.writer, pipe.writer))
        pipe.closeWriter()
        var tail = OutputTail(limit: outputLimit)
        let status = try child.wait(timeout: timeout, reading: pipe.reader) { tail.append($0) }
        return HostCommandResult(code: status.code, signal: status.signal, output: tail.bytes)
    }
}

/// The last bytes of an output.
struct OutputTail {
    let limit: Int
    private var kept: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    mutating func append(_ bytes: ArraySlice<UInt8>) {
        kept.append(contentsOf: bytes)
        if kept.count > 2 * limit { kept.removeFirst(kept.count - limit) }
    }

    var bytes: [UInt8] { Array(kept.suffix(limit)) }
}

/// Both ends of a pipe; no other program inherits them.
struct PipeEnds: ~Copyable {
    let reader: Int32
    private(set) var writer: Int32

    init() throws(OCIError) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_pipe_cloexec(&ends)
        guard result == 0 else { throw .system("pipe2", "", -result) }
        reader = ends[0]
        writer = ends[1]
    }

    /// From here on whoever else holds the writing end decides when the stream ends.
    mutating func closeWriter() {
        close(writer)
        writer = -1
    }

    deinit {
        close(reader)
        if writer >= 0 { close(writer) }
    }
}
