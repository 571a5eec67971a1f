import Glibc
import StdioBridge

/// A server's command on this host: the file it names, and an environment that is PATH and what was given, nothing else.
struct LocalProgram {
    let command: [String]
    private let variables: [String: String]
    /// It was looked for along the PATH of whoever typed it too.
    private var isNowhere = false

    /// Where programs are looked for when no PATH is given: never along our own.
    private static let usualPath = "/usr/local/bin:/usr/bin:/bin"

    /// - Parameter command: not empty.
    init(_ command: [String], _ variables: [String: String]) {
        self.command = command
        self.variables = ["PATH": Self.usualPath].merging(variables) { _, given in given }
    }

    /// A command that somebody typed: its program is the one their shell would start, though the server's own PATH is another.
    static func typed(_ command: [String], _ variables: [String: String]) -> LocalProgram {
        guard let program = command.first, !program.contains("/"), variables["PATH"] == nil, let path = getenv("PATH") else {
            return LocalProgram(command, variables)
        }
        let folders = String(cString: path).split(separator: ":").filter { $0.hasPrefix("/") }
        guard let file = ExecutablePath.find(program, path: folders.joined(separator: ":")),
            file != ExecutablePath.find(program, path: usualPath)
        else {
            var own = LocalProgram(command, variables)
            own.isNowhere = true
            return own
        }
        return LocalProgram([file] + command.dropFirst(), variables)
    }

    var environment: [String] { variables.map { "\($0.key)=\($0.value)" }.sorted() }

    /// The command for a server that works elsewhere: a program's path is one from here.
    var fromAnywhere: [String] {
        guard let program = command.first, program.contains("/"), !program.hasPrefix("/"), let here = getcwd(nil, 0) else { return command }
        defer { free(here) }
        return [String(cString: here) + "/" + program] + command.dropFirst()
    }

    /// The program's file.
    ///
    /// - Throws: what can be known of it before anything is started.
    func found() throws -> String {
        let program = command.first ?? ""
        guard program.contains("/") else {
            let path = variables["PATH"] ?? ""
            if let file = ExecutablePath.find(program, path: path) { return file }
            throw Failure(
                isNowhere ? "no program \(program) in your PATH, nor in \(path)" : "no program \(program) in \(path)",
                hint: isNowhere ? "install it, or give its whole path" : "give its whole path, for example $(command -v \(program))")
        }
        var info = stat()
        guard stat(program, &info) == 0 else {
            throw Failure("\(program) cannot be started: \(String(cString: strerror(errno)))", hint: "give the path of a program, as it is from here")
        }
        guard info.st_mode & S_IFMT == S_IFREG else { throw Failure("\(program) is no program", hint: "give the path of a program") }
        guard access(program, X_OK) == 0 else {
            throw Failure("\(program) is not executable", hint: "chmod +x \(program), or name what runs it: -- python3 \(program)")
        }
        return program
    }
}
