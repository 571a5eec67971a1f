import MachineAPI

/// What a connector's definition must satisfy before anything is built; every refusal names its field and the remedy.
enum ConnectorRules {
    static let variableBytes = 64 << 10

    static func check(_ request: ConnectorRequest) throws(ProvisioningFailure) {
        guard isName(request.name) else {
            throw failure("name", "'\(request.name.prefix(64))' is no connector name", "use 1 to 32 of a-z, 0-9 and -, beginning with a letter")
        }
        switch (request.source.pypi, request.source.upload) {
        case (nil, nil): throw failure("source", "no source given", "give --pypi SPEC or --dir DIR")
        case (.some, .some): throw failure("source", "two sources given", "give either --pypi SPEC or --dir DIR")
        case (nil, .some):
            if (request.command ?? request.source.command ?? []).isEmpty {
                throw failure("command", "a server in a folder needs its command", "put it after --: -- python3 server.py")
            }
        case (.some(let spec), nil):
            if spec.isEmpty || spec.utf8.count > 512 { throw failure("source.pypi", "the package name is empty or too long", "for example mcp-server-time") }
        }
        for (name, value) in request.env ?? [:] { try checkVariable(name, value, field: "env") }
        for (name, value) in request.secrets ?? [:] {
            try checkVariable(name, value, field: "secrets")
            if request.env?[name] != nil { throw failure("secrets.\(name)", "\(name) is given as --env too", "give it once, with --secret") }
        }
        if let memory = request.memory_mb, !(64...16_384).contains(memory) {
            throw failure("memory_mb", "\(memory) MiB is out of range", "64 to 16384")
        }
        if let pids = request.pids, !(16...1_024).contains(pids) { throw failure("pids", "\(pids) is out of range", "16 to 1024") }
    }

    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, (97...122).contains(first), name.utf8.count <= 32 else { return false }
        return name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }

    private static func checkVariable(_ name: String, _ value: String, field: String) throws(ProvisioningFailure) {
        let isName = name.utf8.enumerated().allSatisfy { index, byte in
            (65...90).contains(byte) || (97...122).contains(byte) || byte == 95 || (index > 0 && (48...57).contains(byte))
        }
        guard isName, !name.isEmpty, name.utf8.count <= 128 else {
            throw failure("\(field).\(name.prefix(64))", "'\(name.prefix(64))' is no environment variable name", "letters, digits and _, not beginning with a digit")
        }
        guard value.utf8.count <= variableBytes else { throw failure("\(field).\(name)", "the value is over 64 KiB", "put it into a file of the image") }
        guard !value.utf8.contains(0) else { throw failure("\(field).\(name)", "the value holds a NUL byte", nil) }
    }

    private static func failure(_ field: String, _ message: String, _ hint: String?) -> ProvisioningFailure {
        ProvisioningFailure(error: "invalid", message: message, field: field, hint: hint)
    }
}
