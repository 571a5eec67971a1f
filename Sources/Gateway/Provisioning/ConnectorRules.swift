import Door
import MachineAPI

/// What a connector's definition must satisfy before anything is built; every refusal names its field and the remedy.
public enum ConnectorRules {
    static let variableBytes = 64 << 10
    /// What names a source on the command line.
    public static let sourceOptions = "--pypi SPEC, --npm SPEC, --dir DIR, --binary FILE and --oci IMAGE"
    public static let nameHint = "use 1 to 32 of a-z, 0-9 and -, beginning with a letter"

    /// - Parameter old: What the request changes; nil for a new connector.
    /// - Returns: The definition that the request makes.
    @discardableResult
    static func check(_ request: ConnectorRequest, changing old: ConnectorDefinition? = nil) throws(ProvisioningFailure) -> ConnectorDefinition {
        guard isName(request.name) else {
            throw failure("name", "'\(request.name.prefix(64))' is no connector name", nameHint)
        }
        if let kinds = request.source?.kinds, kinds.count > 1 {
            throw failure("source", "two sources given", "give one of \(sourceOptions)")
        }
        if let old { try checkChange(request, of: old) }
        var definition = request.definition(changing: old)
        if let life = request.life { definition.life = try life.life(changing: definition.life) }
        try check(definition.source)
        for (name, value) in request.env ?? [:] { try checkVariable(name, value, field: "env") }
        for (name, value) in request.secrets ?? [:] {
            try checkVariable(name, value, field: "secrets")
            if definition.environment[name] != nil {
                throw failure("secrets.\(name)", "\(name) is given as --env too", "give it once, with --secret")
            }
        }
        for name in definition.secrets where definition.environment[name] != nil {
            throw failure("env.\(name)", "\(name) is a secret of this connector", "leave --env \(name) out, or add --drop-secret \(name)")
        }
        for name in request.drop_secrets ?? [] where request.secrets?[name] != nil {
            throw failure("drop_secrets", "\(name) is to be set and to be dropped", "give it once")
        }
        for name in request.drop_env ?? [] {
            if request.env?[name] != nil { throw failure("drop_env", "\(name) is to be set and to be dropped", "give it once") }
            guard let old else { throw failure("drop_env", "a new connector has no variable \(name)", "leave it out") }
            guard old.environment[name] != nil else {
                throw .unknown("variable", name, among: old.environment.keys.sorted(), field: "drop_env", of: request.name)
            }
        }
        guard definition.environment.count + definition.secrets.count <= 256 else {
            throw failure("env", "too many variables", "at most 256")
        }
        guard (64...16_384).contains(definition.memoryMB) else {
            throw failure("memory_mb", "--memory \(definition.memoryMB) is out of range", "64 to 16384 MiB")
        }
        guard (16...1_024).contains(definition.pids) else { throw failure("pids", "--pids \(definition.pids) is out of range", "16 to 1024") }
        try definition.hosting?.check()
        if definition.hosting?.profile == "untrusted", definition.egressPrivate?.isEmpty == false {
            throw failure("egress_private", "an untrusted connector reaches no private addresses", "leave --egress-private out, or choose another --profile")
        }
        guard (request.accept ?? []).count <= 128, (request.accept ?? []).allSatisfy({ $0.utf8.count <= 512 }) else {
            throw failure("accept", "too many releases, or one that is none", "at most 128, each as the event release names it")
        }
        if let era = request.era, BootDocument.EraChoice(rawValue: era) == nil {
            throw failure("era", "--era \(era.prefix(64)) is none", "auto, legacy or modern")
        }
        if let http = request.http, !http.isEmpty, let (message, hint) = httpProblem(http) { throw failure("http", message, hint) }
        if let bad = egressProblem(definition.egress ?? [], privateHosts: definition.egressPrivate ?? []) {
            throw failure(bad.field, bad.message, bad.hint)
        }
        if let port = definition.http?.port, reached(definition).contains(port) {
            throw failure(
                "http", "--http \(port) is a port of --egress, on which the agent listens in the machine", "have the server listen on another port")
        }
        return definition
    }

    private static func reached(_ definition: ConnectorDefinition) -> [Int] {
        (try? EgressList(definition.egress ?? [], privateHosts: definition.egressPrivate ?? []))?.all.map(\.port) ?? []
    }

    /// Why a server cannot be said to listen there; nil when it can.
    public static func httpProblem(_ text: String) -> (message: String, hint: String)? {
        guard let http = MachineConfig.HTTP(text), BootDocument.HTTPPlace.isPath(http.path) else {
            return ("--http \(text.prefix(64)) is no place of a server", "PORT or PORT/PATH, for example 8000 or 8000/mcp")
        }
        guard (1_024...65_535).contains(http.port) else {
            return (
                http.port > 65_535
                    ? "--http \(http.port): there is no such port" : "--http \(http.port): a server without privileges cannot listen on that port",
                "1024 to 65535; most servers take another port by an argument or a variable"
            )
        }
        return nil
    }

    /// Why a connector cannot have such lists; nil when it can.
    public static func egressProblem(_ hosts: [String], privateHosts: [String]) -> (field: String, message: String, hint: String)? {
        do {
            _ = try EgressList(hosts, privateHosts: privateHosts)
            return nil
        } catch {
            let option = error.field == "egress" ? "--egress" : "--egress-private"
            return (error.field, "\(option): \(error.message)", error.hint)
        }
    }

    /// What would be lost without a word.
    private static func checkChange(_ request: ConnectorRequest, of old: ConnectorDefinition) throws(ProvisioningFailure) {
        if request.reset == true {
            guard request.source?.kind != nil else {
                throw failure(
                    "source", "--reset begins anew and needs the source again",
                    "add --pypi SPEC, or --npm, --dir, --binary or --oci, and of a folder the command after --")
            }
        } else if old.source.requirements == true, request.source?.upload != nil, request.source?.requirements != true {
            throw failure(
                "source.requirements", "\(request.name) has requirements, which --dir alone would drop",
                "add --requirements FILE; without any: --reset with the whole definition")
        }
    }

    private static func check(_ source: ImageSource) throws(ProvisioningFailure) {
        switch source.kind {
        case nil: throw failure("source", "no source given", "give one of \(sourceOptions)")
        case .pypi:
            let spec = source.pypi ?? ""
            if spec.isEmpty || spec.utf8.count > 512 {
                throw failure("source.pypi", "the package name is empty or too long", "for example mcp-server-time")
            }
        case .folder:
            if (source.command ?? []).isEmpty {
                throw failure("command", "a server in a folder needs its command", "put it after --: -- python3 server.py")
            }
        case .binary: break
        case .npm:
            if (source.npm ?? "").isEmpty || (source.npm ?? "").utf8.count > 512 {
                throw failure("source.npm", "the package name is empty or too long", "for example name, name@1.2.3 or @scope/name")
            }
        case .oci:
            if (source.oci ?? "").isEmpty || (source.oci ?? "").utf8.count > 512 {
                throw failure("source.oci", "the image's name is empty or too long", "HOST/NAME:TAG")
            }
        case .layout:
            if (source.tag ?? "").utf8.count > 256 { throw failure("source.tag", "the name of the image is too long", "at most 256 bytes") }
        }
        if let kind = source.kind, ![.pypi, .folder].contains(kind), !(source.constraints ?? []).isEmpty {
            throw failure("source.constraints", "--constraint narrows Python packages", "name a version in the source itself, where it has any")
        }
        if source.kind != .pypi, !(source.with ?? []).isEmpty {
            throw failure("source.with", "--with adds to a PyPI package", "of a folder they belong into its requirements.txt")
        }
        if source.kind != .pypi, source.python != nil {
            throw failure("source.python", "--python is asked of a PyPI package", "images of folders have the Python of the host's distribution")
        }
        if (source.python ?? "").utf8.count > 64 { throw failure("source.python", "that is no version of Python", "for example 3.11") }
        let words = (source.command ?? []) + (source.arguments ?? [])
        if let bad = words.first(where: { $0.utf8.contains(0) || $0.utf8.count > variableBytes }) {
            throw failure("args", "the argument '\(bad.prefix(32))…' is over 64 KiB or holds a NUL byte", "put long input into a file of the image")
        }
        guard words.count <= 256, (source.constraints ?? []).count <= 64, (source.with ?? []).count <= 64 else {
            throw failure("args", "too many arguments, constraints or packages", "at most 256 arguments, 64 constraints and 64 of --with")
        }
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
