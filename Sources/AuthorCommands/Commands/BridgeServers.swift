import Glibc
import Standalone

/// The servers that a `berth bridge` is to run.
extension Bridge {
    func servers(_ log: BridgeLog) throws -> [StandaloneServer] {
        guard let config else {
            guard !command.isEmpty else {
                throw Failure("no command given", hint: "\(CommandPath.current) --port 8000 -- python3 server.py", code: 64)
            }
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
        let program = LocalProgram.typed(command, variables)
        let directory = try cwd.map { try Self.directory($0, "--cwd") }
        _ = try program.found()
        return StandaloneServer(command: program.fromAnywhere, environment: program.environment, directory: directory, secrets: secrets)
    }

    private func servers(of file: String, _ log: BridgeLog) throws -> [StandaloneServer] {
        let parsed = try Self.read(file, option: "--config") { bytes throws(StandaloneInputError) in try ServersFile(parsing: bytes, file: file) }
        for remark in parsed.remarks { log.note(remark) }
        var problems: [Failure] = []
        let servers = try parsed.servers.map { entry in
            let program = LocalProgram([entry.command] + entry.arguments, entry.environment)
            do {
                _ = try program.found()
                _ = try entry.directory.map { try Self.directory($0, "cwd") }
            } catch let failure as Failure {
                problems.append(Failure("\(file): \(entry.name): \(failure.message)", hint: failure.hint, code: failure.code))
            }
            return StandaloneServer(
                name: entry.name, command: program.fromAnywhere, environment: program.environment,
                directory: entry.directory,
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
        return try parse(bytes)
    }

    private static func directory(_ path: String, _ place: String) throws -> String {
        var info = stat()
        guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
            throw Failure("\(place) '\(path.prefix(256))' is no directory", hint: "give one that exists", code: 64)
        }
        return path
    }
}
