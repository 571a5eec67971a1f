import MachineAPI

extension ConnectorRequest {
    /// The definition that the request makes, of nothing or of an old one.
    func definition(changing old: ConnectorDefinition? = nil) -> ConnectorDefinition {
        var new = old ?? ConnectorDefinition(source: ImageSource())
        if reset == true { new = ConnectorDefinition(source: ImageSource(), secrets: new.secrets) }
        if let source {
            let isOtherKind = (source.pypi != nil && new.source.upload != nil) || (source.upload != nil && new.source.pypi != nil)
            if isOtherKind { new.source = ImageSource() }
            if source.pypi != nil { new.source.pypi = source.pypi }
            if source.upload != nil {
                new.source.upload = source.upload
                new.source.requirements = source.requirements
                new.source.folder = source.folder
            }
            new.source.constraints = source.constraints ?? new.source.constraints
        }
        new.source.command = command ?? source?.command ?? new.source.command
        new.source.arguments = args ?? source?.arguments ?? new.source.arguments
        new.environment = env ?? new.environment
        new.secrets = Set(new.secrets).subtracting(drop_secrets ?? []).union((secrets ?? [:]).keys).sorted()
        new.memoryMB = memory_mb ?? new.memoryMB
        new.pids = pids ?? new.pids
        return new
    }
}
