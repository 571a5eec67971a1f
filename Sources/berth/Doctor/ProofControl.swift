import AuthorCommands
import CLinux
import Glibc
import JSONText

/// The control of a proof: what the kernel refuses to an ordinary user outside of any machine is no merit of a machine.
enum ProofControl {
    static let python = "/usr/bin/python3"

    /// Runs ``AttackServer`` on this host, as an unprivileged user (65534 when we are root), for its harmless calls alone.
    ///
    /// - Returns: which of them were refused; `nil` where the host has no Python to ask with.
    static func refusedOutside() throws -> [String]? {
        guard access(python, X_OK) == 0 else { return nil }
        let request = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"control"}}"# + "\n"
        let (input, output) = (clinux_memfd_create("request", 0), clinux_memfd_create("answer", 0))
        defer {
            close(input)
            close(output)
        }
        guard input >= 0, output >= 0, write(input, request, request.utf8.count) == request.utf8.count, lseek(input, 0, SEEK_SET) == 0 else {
            throw Failure("the proof's control was not started: \(String(cString: strerror(errno)))")
        }
        let pid = spawn(input, output)
        guard pid > 0 else { throw Failure("the proof's control was not started: \(String(cString: strerror(-pid)))") }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        var answer = [UInt8](repeating: 0, count: 64 << 10)
        let count = pread(output, &answer, answer.count, 0)
        let reply = try? JSONValue(parsing: String(decoding: answer.prefix(max(0, count)), as: UTF8.self))
        let text = reply?["result"]?["content"]?[0]?["text"]?.stringValue ?? ""
        guard let refused = (try? JSONValue(parsing: text))?["refused"]?.arrayValue else {
            throw Failure("the proof's control gave no answer (status \(status))")
        }
        return refused.compactMap(\.stringValue)
    }

    private static func spawn(_ input: Int32, _ output: Int32) -> pid_t {
        // Isolated: nothing of the caller's environment or folder is loaded.
        let words = [python, "-I", "-c", AttackServer.source]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for case .some(let argument) in arguments { free(argument) } }
        var environment: UnsafeMutablePointer<CChar>?
        var options = clinux_spawn_options()
        options.stdio = (input, output, -1)
        options.new_session = 1
        return clinux_spawn(python, arguments, &environment, &options)
    }
}
