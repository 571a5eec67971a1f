import MachineAPI

/// How much of the isolation a connector's machines insist on.
enum IsolationProfile: String, Sendable, CaseIterable {
    /// May run where a layer is missing that machines can do without, if an admin said so for this host.
    case trusted
    /// Everything that machines need.
    case standard
    /// Every wall, those too that are merely good to have; and less inside than others have.
    case untrusted

    /// The layers that are not in force on this host and that such a machine does not start without.
    func lacking(_ layers: [IsolationLayer]) -> [IsolationLayer] {
        layers.filter { layer in
            guard layer.isWall, layer.state != .active else { return false }
            switch self {
            case .trusted: return layer.isRequired && layer.state == .missing && !HostCapabilities.dispensable.contains(layer.name)
            case .standard: return layer.isRequired && layer.state == .missing
            case .untrusted: return true
            }
        }
    }

    /// - Throws: 412 `isolation_missing`, with the names of the layers.
    func check(_ layers: [IsolationLayer]) throws(MachineFailure) {
        let lacking = lacking(layers)
        guard let first = lacking.first else { return }
        let names = lacking.map(\.name).joined(separator: ", ")
        throw MachineFailure(
            .preconditionFailed, "isolation_missing", "failed_precondition: the profile \(rawValue) needs \(names), which this host does not give: \(first.detail)",
            field: "config.berth.profile", hint: first.remedy, details: ["reason": "isolation_missing", "layers": names])
    }
}

extension MachineConfig {
    var profile: IsolationProfile { berth?.profile.flatMap(IsolationProfile.init(rawValue:)) ?? .standard }
}
