import Door
import JSONText
import Sealing

/// The last 1,024 calls, so that a gateway that died in one can learn what became of it.
struct CallLog {
    struct Entry {
        var id: String
        var session: String
        var principal: String
        var method: String
        var tool: String?
        var at: Int64
        var state: State
    }

    enum State: String {
        case delivered
        case answered
        case failed
        case cancelled
    }

    private static let capacity = 1024
    private var entries: [Entry] = []
    private var first = 0

    /// Adds a call and returns the handle to tell its end with.
    mutating func add(claims: HostedToken.Claims, method: String, tool: String?) -> Int {
        let entry = Entry(
            id: "\(claims.id)", session: claims.session, principal: claims.principal, method: method, tool: tool, at: WallClock.milliseconds(),
            state: .delivered)
        if entries.count < Self.capacity {
            entries.append(entry)
        } else {
            entries[first % Self.capacity] = entry
            first += 1
        }
        return first + entries.count - 1
    }

    mutating func end(_ handle: Int, _ state: State) {
        // An older one has been overwritten.
        guard handle >= first, handle - first < entries.count else { return }
        entries[handle % Self.capacity].state = state
    }

    var json: JSONValue {
        let ordered = (0..<entries.count).map { entries[(first + $0) % entries.count] }
        return .object(
            JSONObject([
                (
                    "calls",
                    .array(
                        ordered.map { entry in
                            .object(
                                JSONObject([
                                    ("id", .string(entry.id)), ("session", .string(entry.session)), ("principal", .string(entry.principal)),
                                    ("method", .string(entry.method)), ("tool", entry.tool.map(JSONValue.string) ?? .null),
                                    ("at", .number(String(entry.at))), ("state", .string(entry.state.rawValue)),
                                ]))
                        })
                )
            ]))
    }
}
