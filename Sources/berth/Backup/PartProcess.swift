import AuthorCommands
import CLinux
import Glibc
import Persistence

/// A `berth state-part` and its pipes.
final class PartProcess {
    private let part: StatePart.Part
    private let pid: pid_t
    /// What it writes; ours to read.
    private(set) var output: Int32
    private var input: Int32
    private let errors: Int32
    private var isOver = false

    init(_ action: StatePart.Action, _ part: StatePart.Part, _ options: [String] = []) throws {
        self.part = part
        var pipes: [[Int32]] = []
        for _ in 0..<3 {
            var ends: [Int32] = [-1, -1]
            let result = clinux_pipe_cloexec(&ends)
            guard result == 0 else {
                for end in pipes.joined() { close(end) }
                throw Failure("no pipe: \(String(cString: strerror(-result)))")
            }
            pipes.append(ends)
        }
        var spawn = clinux_spawn_options()
        spawn.stdio = (pipes[0][0], pipes[1][1], pipes[2][1])
        let pid = CStrings.with(["state-part", action.rawValue, part.rawValue] + options, program: "berth") { argv in
            CStrings.with(ProcessEnvironment.passed()) { envp in clinux_spawn("/proc/self/exe", argv, envp, &spawn) }
        }
        for end in [pipes[0][0], pipes[1][1], pipes[2][1]] { close(end) }
        (input, output, errors) = (pipes[0][1], pipes[1][0], pipes[2][0])
        self.pid = pid
        guard pid > 0 else { throw Failure("a process for the \(part)'s part does not start: \(String(cString: strerror(-pid)))") }
    }

    deinit {
        if pid > 0, !isOver { _ = try? end() }
        for end in [input, output, errors] where end >= 0 { close(end) }
    }

    /// For who writes to it.
    var descriptor: Int32 { input }

    /// Nothing more comes.
    func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// Waits for its end. What it has still to say is not read: it would wait for a reader for ever.
    ///
    /// - Throws: as it worded its failure.
    func end() throws {
        closeInput()
        if output >= 0 { close(output) }
        output = -1
        isOver = true
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        guard status != 0 else { return }
        _ = fcntl(errors, F_SETFL, O_NONBLOCK)
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(errors, &bytes, bytes.count)
        let line = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").last.map(String.init) ?? ""
        let said = line.hasPrefix("berth: ") ? String(line.dropFirst(7)) : line
        guard !said.isEmpty else { throw Failure("the process for the \(part)'s part ended (status \(status))", hint: "run the command again") }
        guard let mark = said.firstRange(of: " — ") else { throw Failure(said) }
        throw Failure(String(said[..<mark.lowerBound]), hint: String(said[mark.upperBound...]))
    }

    /// Runs `body`; what it throws because the process ended early is told as that process worded it.
    func explaining<T>(_ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch {
            // Whoever still writes is told by its pipe that nobody reads.
            let own = error
            kill(pid, 0) == 0 ? closeInput() : ()
            if let state = own as? StateError, state.code == .failed || state.message.hasSuffix("it is cut off") { try end() }
            throw own
        }
    }
}
