import Door
import JSONText
import Sealing

/// The last 1,024 calls, in bounded space, so that a gateway that died in one can learn what became of it.
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
    /// Of each text that a client may have chosen.
    private static let textLimit = 256
    /// Of the whole list as it is told: within what the gateway takes. Of more the newest are told.
    static let answerLimit = 1_000_000
    private var entries: [Entry] = []
    private var first = 0

    /// Adds a call and returns the handle to tell its end with.
    mutating func add(claims: HostedToken.Claims, method: String, tool: String?) -> Int {
        let entry = Entry(
            id: "\(claims.id)", session: Self.bounded(claims.session), principal: Self.bounded(claims.principal), method: Self.bounded(method),
            tool: tool.map(Self.bounded), at: WallClock.milliseconds(), state: .waiting)
        if entries.count < Self.capacity {
            entries.append(entry)
        } else {
            entries[first % Self.capacity] = entry
            first += 1
        }
        return first + entries.count - 1
    }

    /// The beginning of a long text, without half a character.
    private static func bounded(_ text: String) -> String {
        guard text.utf8.count > textLimit else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: textLimit)
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }

    mutating func deliver(_ handle: Int) { set(handle, .delivered) }

    mutating func end(_ handle: Int, _ state: State) { set(handle, state) }

    private mutating func set(_ handle: Int, _ state: State) {
        // An older one has been overwritten.
        guard handle >= first, handle - first < entries.count else { return }
        entries[handle % Self.capacity].state = state
    }

    var json: JSONValue {
        var left = Self.answerLimit
        var newest: [JSONValue] = []
        for offset in entries.indices.reversed() {
            let entry = entries[(first + offset) % entries.count].json
            left -= entry.serialized().count + 1
            guard left > 0 else { break }
            newest.append(entry)
        }
        return .object(JSONObject([("calls", .array(newest.reversed()))]))
    }
}

extension CallLog.Entry {
    fileprivate var json: JSONValue {
        .object(
            JSONObject([
                ("id", .string(id)), ("session", .string(session)), ("principal", .string(principal)), ("method", .string(method)),
                ("tool", tool.map(JSONValue.string) ?? .null), ("at", .number(String(at))), ("state", .string(state.rawValue)),
            ]))
    }
}
