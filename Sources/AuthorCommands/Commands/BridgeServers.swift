import Standalone

/// The servers that a `berth bridge` is to run.
extension Bridge {
    func servers(_ log: BridgeLog) throws -> [StandaloneServer] {
        guard let config else {
            guard !command.isEmpty else {
                throw Failure("no command given", hint: "\(CommandPath.current) --port 8000 -- python3 server.py", code: 64)
            }
            return [try local.server(command) { log.warn($0) }]
        }
        guard command.isEmpty else {
            throw Failure("--config and a command exclude each other", hint: "give one of them", code: 64)
        }
        if let option = local.given.first {
            let key = option == "--cwd" ? "cwd" : "env"
            throw Failure("\(option) and --config exclude each other", hint: "each server of the file has its own \"\(key)\"", code: 64)
        }
        return try servers(of: config, log)
    }

    private func servers(of file: String, _ log: BridgeLog) throws -> [StandaloneServer] {
        let parsed = try InputFile.read(file, option: "--config") { bytes throws(StandaloneInputError) in
            try ServersFile(parsing: bytes, file: file)
        }
        for remark in parsed.remarks { log.note(remark) }
        var problems: [Failure] = []
        let servers = try parsed.servers.map { entry in
            let program = LocalProgram([entry.command] + entry.arguments, entry.environment)
            do {
                _ = try program.found()
                _ = try entry.directory.map { try InputFile.directory($0, "cwd") }
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
}
