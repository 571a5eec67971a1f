import ArgumentParser
import AuthorCommands
import Gateway
import Glibc
import JSONText

/// How a connector's machines are hosted, beyond memory and tasks.
struct HostingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Processors of the machine: 0.1 to the host's (default: 0.5). Until its server is ready it may use one whole.", valueName: "n"))
    var cpus: Double?
    @Option(
        help: """
            How far its code is trusted. standard (the default): every layer that machines need. untrusted: every wall without exception, and less \
            inside. trusted: runs where this host lacks a layer that `berth up --without` names.
            """)
    var profile: ConnectorProfile?
    @Option(
        help: ArgumentHelp(
            "The OCI runtime that makes its machines, in the place of the host's own; berth doctor --runtime PATH tries it first. An empty one: the host's own again.",
            valueName: "path"))
    var runtime: String?

    /// The request's member; nil where nothing is given.
    func json() throws -> JSONValue? {
        let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        if let cpus, !(0.1...Double(processors)).contains(cpus) {
            throw Failure("--cpus \(cpus) is out of range", hint: "0.1 to \(processors), which this host has", code: 64)
        }
        guard cpus != nil || profile != nil || runtime != nil else { return nil }
        return .record(
            ("cpus", cpus.map { .number("\($0)") }), ("profile", profile.map { .string($0.rawValue) }), ("runtime", runtime.map { .string($0) }))
    }
}

/// How far a connector's code is trusted.
enum ConnectorProfile: String, ExpressibleByArgument, CaseIterable { case trusted, standard, untrusted }

/// A connector's profile in words, with what its machines go without on this host.
enum ProfileText {
    static func line(_ hosting: JSONValue?, _ doctor: JSONValue?) -> String {
        let profile = hosting?.cell("profile") ?? "standard"
        let missing = (doctor?["layers"]?.arrayValue ?? []).filter { layer in
            layer["wall"]?.boolValue != false && layer["state"]?.stringValue != "active"
        }.map { $0.cell("name") }
        return profile + (missing.isEmpty ? "" : "; not on this host: \(missing.joined(separator: ", "))")
    }
}
