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
        /// When it came, in milliseconds since 1970.
        var at: Int64
        var state: State
    }

    enum State: String {
        /// The server has not seen it yet: its process is being started, say.
        case waiting
        /// The server has all of it.
        case delivered
        case answered
        /// It may have run.
        case failed
        /// It never reached the server, and never will.
        case notDelivered = "not_delivered"
        /// Its caller went away after it was delivered: it may have run.
        case cancelled
    }

    private static let capacity = 1024
    private var entries: [Entry] = []
    private var first = 0

    /// Adds a call and returns the handle to tell its end with.
    mutating func add(claims: HostedToken.Claims, method: String, tool: String?) -> Int {
        let entry = Entry(
            id: "\(claims.id)", session: claims.session, principal: claims.principal, method: method, tool: tool, at: WallClock.milliseconds(),
            state: .waiting)
        if entries.count < Self.capacity {
            entries.append(entry)
        } else {
            entries[first % Self.capacity] = entry
            first += 1
        }
        return first + entries.count - 1
    }

    mutating func deliver(_ handle: Int) { set(handle, .delivered) }

    mutating func end(_ handle: Int, _ state: State) { set(handle, state) }

    private mutating func set(_ handle: Int, _ state: State) {
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
