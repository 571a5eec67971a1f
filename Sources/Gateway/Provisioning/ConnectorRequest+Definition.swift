import Door
import MachineAPI

extension ConnectorRequest {
    /// Whether the image stays: nothing is named of what goes into it. Command, arguments, environment, secrets and limits
    /// are the machine's.
    var keepsImage: Bool {
        reset != true && (source?.kinds ?? []).isEmpty && source?.requirements == nil && source?.constraints == nil && source?.with == nil
            && source?.python == nil
    }

    /// Beside the definition: nothing is to be built anew, and no secret changes.
    var changesNothingElse: Bool { keepsImage && !changesSecrets }

    var changesSecrets: Bool { !(secrets ?? [:]).isEmpty || !(drop_secrets ?? []).isEmpty }

    /// The definition that the request makes, of nothing or of an old one.
    func definition(changing old: ConnectorDefinition? = nil) -> ConnectorDefinition {
        var new = old ?? ConnectorDefinition(source: ImageSource())
        if reset == true { new = ConnectorDefinition(source: ImageSource(), secrets: new.secrets) }
        if let source {
            if let kind = source.kind, new.source.kind != nil, kind != new.source.kind { new.source = ImageSource() }
            if source.pypi != nil { new.source.pypi = source.pypi }
            if source.npm != nil { new.source.npm = source.npm }
            if source.oci != nil { new.source.oci = source.oci }
            if source.upload != nil {
                new.source.upload = source.upload
                new.source.requirements = source.requirements
                new.source.folder = source.folder
            }
            if source.binary != nil || source.layout != nil {
                (new.source.binary, new.source.layout, new.source.tag) = (source.binary, source.layout, source.tag)
                new.source.folder = source.folder
            }
            new.source.constraints = source.constraints ?? new.source.constraints
            new.source.with = source.with ?? new.source.with
            new.source.python = source.python ?? new.source.python
        }
        new.source.command = command ?? source?.command ?? new.source.command
        new.source.arguments = args ?? source?.arguments ?? new.source.arguments
        // A variable that becomes a secret is none in clear any more.
        new.environment = env ?? new.environment.filter { drop_env?.contains($0.key) != true && secrets?[$0.key] == nil }
        new.secrets = Set(new.secrets).subtracting(drop_secrets ?? []).union((secrets ?? [:]).keys).sorted()
        new.memoryMB = memory_mb ?? new.memoryMB
        new.pids = pids ?? new.pids
        new.hosting = (new.hosting ?? ConnectorHosting()).changed(by: hosting)
        new.era = era.map { $0 == BootDocument.EraChoice.auto.rawValue ? nil : $0 } ?? new.era
        if let http { new.http = MachineConfig.HTTP(http) }
        new.egress = egress.map { $0.isEmpty ? nil : $0 } ?? new.egress
        new.egressPrivate = egress_private.map { $0.isEmpty ? nil : $0 } ?? new.egressPrivate
        return new
    }
}

extension ConnectorDefinition {
    /// Whether `old` could do what this one must not: its machines serve nobody any more.
    func takesAway(from old: ConnectorDefinition) -> Bool {
        hostsLost(since: old) != nil || losesPrivateHosts(since: old) || lifeInForce.isolation != old.lifeInForce.isolation || hosting?.profile != old.hosting?.profile
            || hosting?.runtime != old.hosting?.runtime
    }

    /// One that stays on the public list alone is not reached at private addresses any more.
    private func losesPrivateHosts(since old: ConnectorDefinition) -> Bool {
        let now = (egressPrivate ?? []).compactMap { try? EgressRule($0) }
        return (old.egressPrivate ?? []).contains { text in
            guard let rule = try? EgressRule(text) else { return true }
            return !now.contains { $0.includes(rule) }
        }
    }

    /// Hosts that `old` could reach and this one cannot, for people: a list that is given replaces the one before.
    func hostsLost(since old: ConnectorDefinition) -> String? {
        let now = ((egress ?? []) + (egressPrivate ?? [])).compactMap { try? EgressRule($0) }
        let lost = ((old.egress ?? []) + (old.egressPrivate ?? [])).filter { text in
            guard let rule = try? EgressRule(text) else { return false }
            return !now.contains { $0.includes(rule) }
        }
        return lost.isEmpty ? nil : lost.joined(separator: ", ")
    }
}

extension BuiltImage {
    /// The same image, started as `new` says. Its command is the source's, whose first word the build looked up, and then
    /// the arguments.
    ///
    /// - Returns: nil where only a build can tell: a program's bare name is looked up in the image.
    func started(by new: ImageSource, insteadOf old: ImageSource) -> BuiltImage? {
        let (oldArguments, arguments) = (old.arguments ?? [], new.arguments ?? [])
        if let defaults, (new.command ?? []).isEmpty {
            var image = self
            image.command = defaults.start(arguments)
            return image
        }
        guard defaults == nil || !(old.command ?? []).isEmpty, command.count > oldArguments.count,
            Array(command.suffix(oldArguments.count)) == oldArguments
        else { return nil }
        var start = Array(command.dropLast(oldArguments.count))
        let (before, given) = (old.command ?? [], new.command ?? [])
        if given != before {
            guard let program = program(given, before, start, isFolder: new.uploaded != nil) else { return nil }
            start = program + given.dropFirst()
        }
        var image = self
        image.command = start + arguments
        return image
    }

    /// The first word of `given` as a build looks it up.
    private func program(_ given: [String], _ old: [String], _ start: [String], isFolder: Bool) -> [String]? {
        guard let word = given.first else { return nil }
        if word == old.first, Array(start.suffix(old.count - 1)) == Array(old.dropFirst()) { return Array(start.dropLast(old.count - 1)) }
        // An executable that came alone is all that there is.
        if let only = start.first, packages.isEmpty, only == "\(directory)/\(word)" { return [only] }
        if word.hasPrefix("/") { return [word] }
        if word == "python" || word == "python3" { return ["/usr/bin/python3"] }
        guard isFolder, word.contains("/") else { return nil }
        let parts = word.split(separator: "/").filter { $0 != "." }
        return parts.contains("..") ? nil : ["\(directory)/\(parts.joined(separator: "/"))"]
    }
}
