import MachineAPI

extension MachineRecord {
    /// As the API shows it.
    func answer(events: [MachineEvent]?, isolation: [String]) -> Machine {
        // Where it answers, for those who route: before and after that it would only mislead.
        let door = state == .started ? boot?.door.map { "unix:\($0)" } : nil
        return Machine(
            id: id, name: name, state: state, instance_id: instance, config: config,
            image_ref: ImageReference(repository: "berth", digest: config.image), created_at: Timestamp.text(createdAt),
            updated_at: Timestamp.text(updatedAt), events: events.flatMap { $0.isEmpty ? nil : $0 }, cordoned: isCordoned ? true : nil,
            berth: BerthMachine(
                door: door, boot_id: boot?.boot, isolation: state == .started && !isolation.isEmpty ? isolation : nil, reason: reason,
                since: Timestamp.text(stateSince)))
    }
}

/// An app as the API shows it; never its root.
struct AppAnswer: Encodable, Sendable {
    struct Organization: Encodable, Sendable {
        var name: String
        var slug: String
    }

    var id: String
    var name: String
    var network: String?
    var status: String
    var machine_count: Int
    var volume_count = 0
    var organization: Organization
    var created_at: String

    init(_ app: AppRecord) {
        id = app.id
        name = app.name
        network = app.network
        status = app.machineCount == 0 ? "pending" : "deployed"
        machine_count = app.machineCount
        organization = Organization(name: app.org, slug: app.org)
        created_at = Timestamp.text(app.createdAt)
    }
}

struct AppsAnswer: Encodable, Sendable {
    var total_apps: Int
    var apps: [AppAnswer]
}

struct OK: Encodable, Sendable {
    var ok = true
}

/// Of `start`.
struct StartAnswer: Encodable, Sendable {
    var previous_state: String
    var migrated = false
    var new_host = ""
}

/// Of `wait`.
struct WaitAnswer: Encodable, Sendable {
    var ok = true
    var state: String
    var version: String
    var event_id: String?
}
