import Glibc
import StdioBridge

/// A server's command on this host: the file it names, and an environment that is PATH and what was given, nothing else.
struct LocalProgram {
    let command: [String]
    private let variables: [String: String]
    /// It was looked for along the PATH of whoever typed it too.
    private var isNowhere = false
    /// It was typed, behind `--`.
    private var isTyped = false

    /// Where programs are looked for when no PATH is given: never along our own.
    private static let usualPath = "/usr/local/bin:/usr/bin:/bin"

    /// - Parameter command: not empty.
    init(_ command: [String], _ variables: [String: String]) {
        self.command = command
        self.variables = ["PATH": Self.usualPath].merging(variables) { _, given in given }
    }

    /// A command that somebody typed: its program is the one their shell would start, though the server's own PATH is another.
    static func typed(_ command: [String], _ variables: [String: String]) -> LocalProgram {
        var own = LocalProgram(command, variables)
        own.isTyped = true
        guard let program = command.first, !program.contains("/"), variables["PATH"] == nil, let path = getenv("PATH") else { return own }
        let folders = String(cString: path).split(separator: ":").filter { $0.hasPrefix("/") }
        guard let file = ExecutablePath.find(program, path: folders.joined(separator: ":")),
            file != ExecutablePath.find(program, path: usualPath)
        else {
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
            if let file = ExecutablePath.find(program, path: path) { return try withInterpreter(file) }
            throw Failure(
                isNowhere ? "no program \(program) in your PATH, nor in \(path)" : "no program \(program) in \(path)",
                hint: oneWord ?? hereInstead
                    ?? (isNowhere ? "install it, or give its whole path" : "give its whole path, for example $(command -v \(program))"))
        }
        var info = stat()
        guard stat(program, &info) == 0 else {
            throw Failure(
                "\(program) cannot be started: \(String(cString: strerror(errno)))",
                hint: oneWord ?? "give the path of a program, as it is from here")
        }
        guard info.st_mode & S_IFMT == S_IFREG else { throw Failure("\(program) is no program", hint: "give the path of a program") }
        guard access(program, X_OK) == 0 else {
            throw Failure("\(program) is not executable", hint: "chmod +x \(program), or name what runs it: -- python3 \(program)")
        }
        return try withInterpreter(program)
    }

    /// Where several words were given as one.
    private var oneWord: String? {
        guard let program = command.first, program.contains(" ") else { return nil }
        guard isTyped else { return #"that is one word: the first one is "command", the others are "args""# }
        return command.count == 1 ? "that is one word: leave the quotes out, -- \(program)" : nil
    }

    /// Where a file was meant that lies here: a shell looks for a name without a slash elsewhere, and so do we.
    private var hereInstead: String? {
        guard isTyped, let program = command.first, access(program, F_OK) == 0 else { return nil }
        if program.hasSuffix(".py") { return "it is a file here: -- python3 \(program)" }
        if program.hasSuffix(".js") || program.hasSuffix(".mjs") { return "it is a file here: -- node \(program)" }
        return "it is a file here: -- ./\(program)"
    }

    /// A script whose first line names a program that is not there fails as if it were not there itself.
    private func withInterpreter(_ file: String) throws -> String {
        guard let interpreter = ExecutablePath.missingInterpreter(of: file) else { return file }
        if interpreter.hasSuffix("\r") {
            throw Failure("\(file) cannot be started: its lines end in CR LF, and its first one names a program", hint: "sed -i 's/\\r$//' \(file)")
        }
        throw Failure(
            "\(file) cannot be started: its first line (#!) names \(interpreter), which is not there",
            hint: "install that, or the server anew (a virtual environment cannot be moved), or name what runs it: -- python3 \(file)")
    }
}
