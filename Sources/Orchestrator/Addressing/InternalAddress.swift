/// Where a request goes by its `Host`, in Fly's spelling of private addresses: an app, whose machine is chosen here, or one machine.
enum InternalAddress: Sendable, Equatable {
    /// `<app>.internal`
    case app(String)
    /// `<machine>.vm.<app>.internal`: that machine as it is; it is not waked.
    case machine(String, app: String)

    /// - Parameter host: the value of a `Host` header, with or without a port.
    /// - Returns: nil for what is no such address.
    init?(host: String) {
        let name = host.lowercased()
        let labels = name[..<(name.firstIndex(of: ":") ?? name.endIndex)].split(separator: ".", omittingEmptySubsequences: false)
        guard name.utf8.count <= 255, labels.last == "internal", labels.allSatisfy(Self.isLabel) else { return nil }
        switch labels.count {
        case 2: self = .app(String(labels[0]))
        case 4 where labels[1] == "vm": self = .machine(String(labels[0]), app: String(labels[2]))
        default: return nil
        }
    }

    var app: String {
        switch self {
        case .app(let name), .machine(_, let name): name
        }
    }

    private static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count) && label.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }
}

/// Which machine a request asks for, beside its address.
struct InstanceWish: Sendable, Equatable {
    /// `fly-force-instance-id`: that machine and no other.
    var forced: String?
    /// `fly-prefer-instance-id`: that machine, else another, which is told so.
    var preferred: String?

    static let forceHeader = "fly-force-instance-id"
    static let preferHeader = "fly-prefer-instance-id"
    /// On a request that reaches another machine than the preferred one.
    static let unavailableHeader = "fly-preferred-instance-unavailable"

    /// Whichever.
    static let none = InstanceWish()

    private init() {}

    /// - Throws: 400 where one is there twice, is no machine's id, or contradicts the other or the address.
    init(forced: [String], preferred: [String], at address: InternalAddress) throws(MachineFailure) {
        self.forced = try Self.id(forced, Self.forceHeader)
        self.preferred = try Self.id(preferred, Self.preferHeader)
        guard case .machine(let machine, _) = address else { return }
        for (id, field) in [(self.forced, Self.forceHeader), (self.preferred, Self.preferHeader)] {
            guard let id, id != machine else { continue }
            throw MachineFailure(.badRequest, "invalid", "\(field) names another machine than the address", field: field, hint: "leave one of them out")
        }
    }

    private static func id(_ values: [String], _ field: String) throws(MachineFailure) -> String? {
        guard let value = values.first else { return nil }
        guard values.count == 1, value.utf8.count == 14, value.utf8.allSatisfy({ (97...102).contains($0) || (48...57).contains($0) }) else {
            throw MachineFailure(.badRequest, "invalid", "\(field) is no machine id", field: field, hint: "14 hex digits, once")
        }
        return value
    }
}
