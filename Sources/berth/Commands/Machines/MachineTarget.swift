import AuthorCommands
import JSONText
import Wire

/// One machine, as a person names it.
struct MachineTarget {
    let id: String
    let app: String
    let connector: String?
    let state: String

    private init?(_ row: JSONValue) {
        guard let id = row["id"]?.stringValue, let app = row["app"]?.stringValue else { return nil }
        self.id = id
        self.app = app
        connector = Machines.connector(of: row)
        state = row.cell("state")
    }

    /// For people: the id, and whose server it runs.
    var title: String { id + (connector.map { " (\($0))" } ?? "") }
    var path: String { "/v1/apps/\(URLPath.segment(app))/machines/\(URLPath.segment(id))" }

    static func find(_ word: String, _ installation: Installation, includesDestroyed: Bool = false) async throws -> MachineTarget {
        try choose(word, among: try await Machines.all(installation, includesDestroyed: includesDestroyed).compactMap(MachineTarget.init))
    }

    /// A slip of the hand must not stop a machine.
    private static let fewestDigits = 4

    /// An id first, then a connector's name, then the beginning of an id.
    private static func choose(_ word: String, among all: [MachineTarget]) throws -> MachineTarget {
        if let machine = all.first(where: { $0.id == word }) { return machine }
        // Of a connector those that are there; a destroyed one is named by its id.
        let own = all.filter { $0.connector == word && $0.state != "destroyed" }
        if let machine = own.first {
            guard own.count == 1 else {
                throw Failure("the connector \(word) has \(own.count) machines", hint: "name one of them by its id: \(list(own))", code: 64)
            }
            return machine
        }
        let begun = word.isEmpty ? [] : all.filter { $0.id.hasPrefix(word) }
        if let machine = begun.first {
            guard word.utf8.count >= fewestDigits else {
                throw Failure("\(word) is too little of an id", hint: "give \(fewestDigits) digits or more: \(list(begun))", code: 64)
            }
            guard begun.count == 1 else {
                throw Failure("\(begun.count) machines' ids begin with \(word)", hint: "give more digits: \(list(begun))", code: 64)
            }
            return machine
        }
        let present = all.filter { $0.state != "destroyed" }
        let near = Suggestion.text(for: word, among: present.flatMap { [$0.id] + ($0.connector.map { [$0] } ?? []) })
        throw Failure(
            "no machine's id begins with \(Printable.line(word)), and no connector of that name has a machine",
            hint: near ?? (present.isEmpty ? "there are no machines; berth connector list shows the connectors" : "there are \(list(present))"),
            code: 64)
    }

    private static func list(_ machines: [MachineTarget]) -> String {
        let shown = machines.prefix(6).map { "\($0.id) (\([$0.connector, $0.state].compactMap { $0 }.joined(separator: ", ")))" }
        return shown.joined(separator: ", ") + (machines.count > shown.count ? " and \(machines.count - shown.count) more" : "")
    }
}
