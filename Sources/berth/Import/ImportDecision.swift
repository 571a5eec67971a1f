import AuthorCommands
import ConfigImport
import Gateway
import Glibc
import JSONText

/// What is to be done with each server of a plan, beside what Berth has already.
struct ImportDecision {
    enum Verb: String { case add, replace, keep }

    struct Item {
        var given: String
        var name: String
        var outcome: Outcome
    }

    enum Outcome {
        case take(Verb, ImportPlan.Connector, secretsBefore: [String])
        case refused(Refusal)
        case disabled
    }

    var items: [Item]

    /// - Parameters:
    ///   - existing: the API's rows of connectors by name, those that are ready.
    ///   - isReplacing: an existing one of the same name gives way.
    init(_ plan: ImportPlan, existing: [String: JSONValue], isReplacing: Bool) {
        items = plan.items.map { item in
            switch item.outcome {
            case .disabled: return Item(given: item.given, name: item.name, outcome: .disabled)
            case .refused(let refusal): return Item(given: item.given, name: item.name, outcome: .refused(refusal))
            case .connector(let connector):
                guard let old = existing[item.name] else {
                    return Item(given: item.given, name: item.name, outcome: .take(.add, connector, secretsBefore: []))
                }
                let secrets = (old["secrets"]?.arrayValue ?? []).compactMap(\.stringValue)
                if isReplacing {
                    var connector = connector
                    let (profile, isolation) = (old["hosting"]?["profile"]?.stringValue ?? "standard", old["life"]?["isolation"]?.stringValue ?? "app")
                    if profile != "standard" || isolation != "app" {
                        connector.remarks.append("it begins anew: --profile \(profile) and --isolation \(isolation) of what it replaces are not taken over")
                    }
                    return Item(given: item.given, name: item.name, outcome: .take(.replace, connector, secretsBefore: secrets))
                }
                if Self.isSame(connector, old) {
                    return Item(given: item.given, name: item.name, outcome: .take(.keep, connector, secretsBefore: secrets))
                }
                return Item(
                    given: item.given, name: item.name,
                    outcome: .refused(
                        Refusal("another connector is called \(item.name)", "--replace takes its place; or give the server another name in the file"))
                )
            }
        }
    }

    /// The same source, arguments, variables and names of secrets: an import that is run again goes on where the last one ended.
    private static func isSame(_ connector: ImportPlan.Connector, _ old: JSONValue) -> Bool {
        let source: String
        switch connector.source {
        case .pypi(let spec, _): source = spec
        case .npm(let spec): source = spec
        case .oci(let reference): source = reference
        case .folder, .binary: return false
        }
        return old["source"]?.stringValue == source && old["args"] ?? .array([]) == .strings(connector.arguments)
            && old["env"] == .strings(connector.environment) && old["secrets"] == .strings(connector.secrets.keys.sorted())
    }

    var taken: [(name: String, verb: Verb, connector: ImportPlan.Connector, secretsBefore: [String])] {
        items.compactMap { item in
            if case .take(let verb, let connector, let before) = item.outcome { return (item.name, verb, connector, before) }
            return nil
        }
    }
}

extension ImportPlan.Connector {
    /// The body of the request that makes it; uploads what is to be uploaded.
    ///
    /// - Parameter secretsBefore: those of the connector in whose place it comes; nil for a new one.
    func body(_ name: String, secretsBefore: [String]?, _ installation: Installation) async throws -> JSONValue {
        var object = JSONObject()
        switch source {
        case .pypi(let spec, let with):
            object["pypi"] = .string(spec)
            if !with.isEmpty { object["with"] = .strings(with) }
        case .npm(let spec): object["npm"] = .string(spec)
        case .oci(let reference): object["oci"] = .string(reference)
        case .folder(let path, let requirements):
            var lines: [String]?
            if case .list(let list) = requirements { lines = list }
            // A file of requirements is the folder's own, and is packed with it: whoever owns the folder may change it meanwhile.
            let archive = try FolderArchive(folder: path, requirements: nil, lines: lines, isNamedByFile: true)
            if case .file = requirements, let left = archive.leftOut.first(where: { $0.hasPrefix(FolderArchive.requirementsName) }) {
                throw Failure("left out: \(left)", hint: "its packages are what it names")
            }
            for left in archive.leftOut { Output.error("left out: \(Printable.line(left))") }
            object["upload"] = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", archive.tar)["digest"] ?? .null
            object["requirements"] = .bool(requirements != nil)
            object["folder"] = .string(archive.name)
        case .binary(let path):
            let (file, tar) = try SourceOptions.packed(path)
            object["binary"] = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", tar)["digest"] ?? .null
            object["folder"] = .string(file)
        }
        let dropped = (secretsBefore ?? []).filter { secrets[$0] == nil }
        return .record(
            ("name", .string(name)), ("source", .object(object)), ("args", .strings(arguments)),
            ("command", command.isEmpty ? nil : .strings(command)), ("env", .strings(environment)),
            ("secrets", secrets.isEmpty ? nil : .strings(secrets)), ("drop_secrets", dropped.isEmpty ? nil : .strings(dropped)),
            ("reset", secretsBefore == nil ? nil : .bool(true)), ("memory_mb", memoryMB.map { .int($0) }),
            ("hosting", cpus.map { .record(("cpus", .number("\($0)"))) }), ("egress", egress.isEmpty ? nil : .strings(egress)))
    }
}
