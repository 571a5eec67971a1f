import MachineAPI

/// What a connector's definition must satisfy before anything is built; every refusal names its field and the remedy.
public enum ConnectorRules {
    static let variableBytes = 64 << 10
    public static let nameHint = "use 1 to 32 of a-z, 0-9 and -, beginning with a letter"

    static func check(_ request: ConnectorRequest) throws(ProvisioningFailure) {
        guard isName(request.name) else {
            throw failure("name", "'\(request.name.prefix(64))' is no connector name", nameHint)
        }
        switch (request.source.pypi, request.source.upload) {
        case (nil, nil): throw failure("source", "no source given", "give --pypi SPEC or --dir DIR")
        case (.some, .some): throw failure("source", "two sources given", "give either --pypi SPEC or --dir DIR")
        case (nil, .some):
            if (request.command ?? request.source.command ?? []).isEmpty {
                throw failure("command", "a server in a folder needs its command", "put it after --: -- python3 server.py")
            }
        case (.some(let spec), nil):
            if spec.isEmpty || spec.utf8.count > 512 {
                throw failure("source.pypi", "the package name is empty or too long", "for example mcp-server-time")
            }
        }
        let words = (request.command ?? []) + (request.args ?? []) + (request.source.command ?? []) + (request.source.arguments ?? [])
        if let bad = words.first(where: { $0.utf8.contains(0) || $0.utf8.count > variableBytes }) {
            throw failure("args", "the argument '\(bad.prefix(32))…' is over 64 KiB or holds a NUL byte", "put long input into a file of the image")
        }
        guard words.count <= 256, (request.env ?? [:]).count + (request.secrets ?? [:]).count <= 256, (request.source.constraints ?? []).count <= 64
        else {
            throw failure("args", "too many arguments, variables or constraints", "at most 256 arguments, 256 variables and 64 constraints")
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

    /// Names of connectors and virtual MCPs: they become parts of URLs, app names and tool prefixes.
    public static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, (97...122).contains(first), name.utf8.count <= 32 else { return false }
        return name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }

    private static func checkVariable(_ name: String, _ value: String, field: String) throws(ProvisioningFailure) {
        let isName = name.utf8.enumerated().allSatisfy { index, byte in
            (65...90).contains(byte) || (97...122).contains(byte) || byte == 95 || (index > 0 && (48...57).contains(byte))
        }
        guard isName, !name.isEmpty, name.utf8.count <= 128 else {
            throw failure(
                "\(field).\(name.prefix(64))", "'\(name.prefix(64))' is no environment variable name",
                "letters, digits and _, not beginning with a digit")
        }
        guard value.utf8.count <= variableBytes else {
            throw failure("\(field).\(name)", "the value is over 64 KiB", "put it into a file of the image")
        }
        guard !value.utf8.contains(0) else {
            throw failure("\(field).\(name)", "the value holds a NUL byte", "a variable of a process cannot hold one")
        }
    }

    private static func failure(_ field: String, _ message: String, _ hint: String) -> ProvisioningFailure {
        ProvisioningFailure(error: "invalid", message: message, field: field, hint: hint)
    }
}
