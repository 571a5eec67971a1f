import Glibc
import StdioBridge

/// The servers that a `berth bridge` is to run.
extension Bridge {
    /// Where programs are looked for when no PATH is given: never along the bridge's own.
    private static let path = "/usr/local/bin:/usr/bin:/bin"

    func servers(_ log: BridgeLog) throws -> [StandaloneServer] {
        guard let config else {
            guard !command.isEmpty else { throw Failure("no command given", hint: "berth bridge --port 8000 -- python3 server.py", code: 64) }
            return [try Self.server(command, env: env, envFile: envFile, cwd: cwd) { log.warn($0) }]
        }
        guard command.isEmpty else {
            throw Failure("--config and a command exclude each other", hint: "give one of them", code: 64)
        }
        for (option, isGiven) in [("--env", !env.isEmpty), ("--env-file", envFile != nil), ("--cwd", cwd != nil)] where isGiven {
            let key = option == "--cwd" ? "cwd" : "env"
            throw Failure("\(option) and --config exclude each other", hint: "each server of the file has its own \"\(key)\"", code: 64)
        }
        return try servers(of: config, log)
    }

    /// The one after `--`, with what its options say.
    static func server(
        _ command: [String], env: [String], envFile: String?, cwd: String?, warn: (String) -> Void
    ) throws -> StandaloneServer {
        let given = try Variables.plain(env, remedy: "a command line is readable by everybody on this host: --env-file FILE is not", warn: warn)
        var (variables, secrets) = ([String: String](), [String]())
        if let envFile {
            let lines = try read(envFile, option: "--env-file") { bytes throws(StandaloneInputError) in
                try EnvironmentFile.parse(bytes, file: envFile)
            }
            for (name, value) in lines { variables[name] = value }
            // PATH is no secret, and parts of it stand in every message.
            secrets = lines.filter { $0.name != "PATH" }.map(\.value)
        }
        variables.merge(given) { _, given in given }
        secrets += given.filter { Variables.soundsSecret($0.key) }.map(\.value)
        let server = StandaloneServer(
            command: absolute(command), environment: environment(variables), directory: try cwd.map { try directory($0, "--cwd") },
            secrets: secrets)
        try check(program: command[0], path: variables["PATH"] ?? path)
        return server
    }

    private func servers(of file: String, _ log: BridgeLog) throws -> [StandaloneServer] {
        let parsed = try Self.read(file, option: "--config") { bytes throws(StandaloneInputError) in try ServersFile(parsing: bytes, file: file) }
        for remark in parsed.remarks { log.note(remark) }
        var problems: [Failure] = []
        let servers = try parsed.servers.map { entry in
            do {
                try Self.check(program: entry.command, path: entry.environment["PATH"] ?? Self.path)
            } catch let failure as Failure {
                problems.append(Failure("\(file): \(entry.name): \(failure.message)", hint: failure.hint))
            }
            return StandaloneServer(
                name: entry.name, command: Self.absolute([entry.command] + entry.arguments), environment: Self.environment(entry.environment),
                directory: try entry.directory.map { try Self.directory($0, "\(file): \(entry.name): cwd") },
                secrets: entry.environment.filter { Variables.soundsSecret($0.key) }.map(\.value))
        }
        // The others can be served without it, unless that is not wanted; callers of it are told.
        if let first = problems.first, exitOnCrash || problems.count == servers.count { throw first }
        return servers
    }

    private static func read<T>(_ path: String, option: String, _ parse: ([UInt8]) throws(StandaloneInputError) -> T) throws -> T {
        guard let bytes = readFile(path) else {
            throw Failure("\(option) \(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give the path of a file", code: 64)
        }
        do {
            return try parse(bytes)
        } catch {
            throw Failure(error.message, hint: error.hint, code: 64)
        }
    }

    static func environment(_ variables: [String: String]) -> [String] {
        ["PATH": path].merging(variables) { _, given in given }.map { "\($0.key)=\($0.value)" }.sorted()
    }

    /// A program's path is one from here, also where the server works elsewhere.
    private static func absolute(_ command: [String]) -> [String] {
        guard let program = command.first, program.contains("/"), !program.hasPrefix("/"), let here = getcwd(nil, 0) else { return command }
        defer { free(here) }
        return [String(cString: here) + "/" + program] + command.dropFirst()
    }

    private static func directory(_ path: String, _ place: String) throws -> String {
        var info = stat()
        guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
            throw Failure("\(place) '\(path.prefix(256))' is no directory", hint: "give one that exists", code: 64)
        }
        return path
    }

    /// What can be known of the program before anything is started.
    static func check(program: String, path: String) throws {
        guard program.contains("/") else {
            guard ExecutablePath.find(program, path: path) == nil else { return }
            throw Failure("no program \(program) in \(path)", hint: "give its whole path, for example $(command -v \(program))")
        }
        var info = stat()
        guard stat(program, &info) == 0 else {
            throw Failure("\(program) cannot be started: \(String(cString: strerror(errno)))", hint: "give the path of a program, as it is from here")
        }
        guard info.st_mode & S_IFMT == S_IFREG else { throw Failure("\(program) is no program", hint: "give the path of a program") }
        guard access(program, X_OK) == 0 else {
            throw Failure("\(program) is not executable", hint: "chmod +x \(program), or name what runs it: -- python3 \(program)")
        }
    }
}
