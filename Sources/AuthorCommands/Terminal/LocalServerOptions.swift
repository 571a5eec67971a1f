import ArgumentParser
import Glibc
import Standalone

/// What a server that is started here is given, for every command that takes one behind `--`.
package struct LocalServerOptions: ParsableArguments {
    @Option(parsing: .singleValue, help: ArgumentHelp("Environment of the server behind -- (repeatable).", valueName: "k=v"))
    package var env: [String] = []
    @Option(help: ArgumentHelp("The same from a file of K=V lines; these values are masked in what is printed.", valueName: "file"))
    package var envFile: String?
    @Option(help: ArgumentHelp("The server's working directory.", valueName: "dir")) package var cwd: String?

    package init() {}

    /// Those that were typed, for where none applies.
    var given: [String] {
        [("--env", !env.isEmpty), ("--env-file", envFile != nil), ("--cwd", cwd != nil)].compactMap { $1 ? $0 : nil }
    }

    /// - Parameter command: not empty.
    func server(_ command: [String], warn: (String) -> Void = { Output.note("warning: " + $0) }) throws -> StandaloneServer {
        let (variables, secrets) = try environment(warn: warn)
        let program = LocalProgram.typed(command, variables)
        let directory = try cwd.map { try InputFile.directory($0, "--cwd") }
        _ = try program.found()
        return StandaloneServer(command: program.fromAnywhere, environment: program.environment, directory: directory, secrets: secrets)
    }

    /// The variables that are given, and which values among them are told to nobody.
    package func environment(warn: (String) -> Void = { Output.note("warning: " + $0) }) throws -> (variables: [String: String], secrets: [String]) {
        let given = try Variables.plain(env, remedy: "a command line is readable by everybody on this host: --env-file FILE is not", warn: warn)
        var (variables, secrets) = ([String: String](), [String]())
        if let envFile {
            let lines = try InputFile.read(envFile, option: "--env-file") { bytes throws(StandaloneInputError) in
                try EnvironmentFile.parse(bytes, file: envFile)
            }
            for (name, value) in lines { variables[name] = value }
            // PATH is no secret, and parts of it stand in every message.
            secrets = lines.filter { $0.name != "PATH" }.map(\.value)
        }
        variables.merge(given) { _, given in given }
        secrets += given.filter { Variables.soundsSecret($0.key) }.map(\.value)
        return (variables, secrets)
    }
}

/// What a command is to read.
enum InputFile {
    static func read<T>(_ path: String, option: String, _ parse: ([UInt8]) throws(StandaloneInputError) -> T) throws -> T {
        guard let bytes = readFile(path) else {
            throw Failure("\(option) \(path) cannot be read: \(String(cString: strerror(errno)))", hint: "give the path of a file", code: 64)
        }
        return try parse(bytes)
    }

    static func directory(_ path: String, _ place: String) throws -> String {
        var info = stat()
        guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
            throw Failure("\(place) '\(path.prefix(256))' is no directory", hint: "give one that exists", code: 64)
        }
        return path
    }
}
