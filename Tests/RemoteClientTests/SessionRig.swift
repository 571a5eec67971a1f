import JSONText
import MCP
import NIOCore
import Testing

@testable import RemoteClient

/// What happens to a session in a test.
enum Event: Sendable {
    /// A client of the handshake revisions is to be served.
    case prefer
    case begin(String = "{}")
    case call(Int)
    /// A result or an error to the last request with that method.
    case says(String, String, session: String? = nil)
    case refuses(String, Int, String = "")
    case fails(String, Undelivered.Kind = .notDelivered)
    /// Its answer is over: a stream, with the place to take it up at if it gave one, or something of another kind.
    case ends(String, at: String? = nil, as: String? = nil)
    case endpoint(String)
    case longEndpoint(Int)
    case eventStreamEnds(RemotePost.End, isStream: Bool = true)
    case holdExpires
    /// The server's process is gone.
    case lost
    case close
}

/// A session without a connection: what it asks for, in words. Requests are told by their methods.
struct SessionRig {
    var session = RemoteSession()
    /// The last one with each method.
    private(set) var requests: [String: RemoteRequest] = [:]
    private var said: [String] = []

    mutating func on(_ event: Event) -> [String] {
        said = []
        switch event {
        case .prefer: session.prefer(.legacy)
        case .begin(let capabilities): run(session.begin(declaring: ByteBuffer(string: capabilities), isIdle: true))
        case .call(let id):
            run(session.begin(declaring: ByteBuffer(string: "{}"), isIdle: true))
            perform(session.back.send(MCPRequest(method: "tools/call", params: ["name": "x"]), call: CallID(id)))
        case .says(let method, let outcome, let name):
            if method == "initialize", outcome.hasPrefix(#""result""#) { session.id = name }
            perform(session.back.received(line: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(requests[method]?.id ?? -1),\#(outcome)}"#)))
        case .refuses(let method, let status, let body): end(method, .refused(status: status, body: ByteBuffer(string: body)))
        case .fails(let method, let kind): end(method, .failed(Undelivered(kind, "broken")))
        case .ends(let method, let place, let kind):
            requests[method]?.isStream = kind == nil
            requests[method]?.answerKind = kind ?? ""
            if let place {
                requests[method]?.place.lastEventID = place
                requests[method]?.place.hasEvents = true
            }
            end(method, .complete)
        case .endpoint(let reference): name(reference)
        case .longEndpoint(let length): name("/" + String(repeating: "x", count: length))
        case .eventStreamEnds(let how, let isStream):
            var request = RemoteRequest("GET")
            request.isStream = isStream
            run(session.eventStreamEnded(request, how))
        case .holdExpires: run(session.holdExpired())
        case .lost: run(session.connectionLost("it died"))
        case .close:
            let (left, actions) = session.close()
            run(actions)
            said.append("left \(Self.text(left ?? []))")
        }
        return said
    }

    private mutating func end(_ method: String, _ how: RemotePost.End) {
        guard let request = requests[method] else { return said.append("no \(method) was sent") }
        if method == "notifications/initialized" { run(session.initialized()) }
        run(session.ended(request, how))
    }

    private mutating func name(_ reference: String) {
        if let address = RemoteAddress("http://h/sse") { run(session.endpointNamed(reference, at: address)) }
    }

    private mutating func run(_ actions: [RemoteSession.Action]) {
        for action in actions {
            switch action {
            case .perform(let actions): perform(actions)
            case .post(let line): post(line)
            case .openEventStream: said.append("event stream")
            case .openStream(let place, let delay): said.append("stream from \(place.lastEventID ?? "here") in \(delay.nanoseconds / 1_000_000) ms")
            case .closeStream: said.append("close stream")
            case .takeUp(let request, let delay):
                requests[request.method] = request
                said.append("take up \(request.method) at \(request.place.lastEventID ?? "") in \(delay.nanoseconds / 1_000_000) ms")
            case .arm(let limit): said.append("hold \(limit.nanoseconds / 1_000_000_000) s")
            case .disarm: said.append("let go")
            case .leave(let headers): said.append("leave \(Self.text(headers))")
            case .discard: said.append("discard")
            case .fail(let why): said.append("fail: \(Self.text(why))")
            case .startOver(let call, _, let reason): said.append("start over with \(call?.rawValue ?? 0): \(reason)")
            }
        }
    }

    private mutating func perform(_ actions: [BackAction]) {
        for action in actions {
            switch action {
            case .write(let line): run(session.write(line))
            case .ready(_, let era):
                session.ready(era)
                said.append("ready \(era)")
            case .handshakeFailed(let reason): run(session.handshakeFailed(reason))
            case .finish(let call, .failed(let why)): said.append("finish \(call.rawValue): \(Self.text(why))")
            case .finish(let call, .error(let error)): said.append("finish \(call.rawValue): \(error.code) \(error.message)")
            case .finish(let call, .result): said.append("finish \(call.rawValue)" + (session.served(isOwn: false) ? ", telling of loss" : ""))
            case .armTimer, .disarmTimer, .notify, .restartForEra, .noise, .broadcast: break
            }
        }
    }

    private mutating func post(_ line: ByteBuffer) {
        guard let message = try? JSONValue(parsing: line.readableBytesSpan), let method = message["method"]?.stringValue else { return }
        requests[method] = RemoteRequest("POST", method: method, id: message["id"]?.intValue, body: line)
        said.append(method)
        if method == "notifications/initialized" { run(session.announced()) }
    }

    private static func text(_ why: Undelivered) -> String { "\(why.kind.rawValue) \(why.reason)" }
    private static func text(_ headers: [(String, String)]) -> String { headers.map { "\($0.1)" }.joined(separator: " ") }
}

/// One event after another, and what each makes the session ask for.
struct Story: Sendable, CustomTestStringConvertible {
    var name: String
    var steps: [(event: Event, asks: [String])]

    init(_ name: String, _ steps: (Event, [String])...) {
        self.name = name
        self.steps = steps.map { (event: $0, asks: $1) }
    }

    var testDescription: String { name }

    /// A session of the handshake revisions with the name `s1`, found by a probe.
    static let legacy: [(event: Event, asks: [String])] = [
        (.begin(), ["server/discover"]), (.refuses("server/discover", 400), ["initialize"]),
        (.says("initialize", hello, session: "s1"), ["notifications/initialized", "hold 20 s", "ready legacy"]),
        (.ends("notifications/initialized"), ["let go", "stream from here in 0 ms"]),
    ]
    static let hello = #""result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"x","version":"1"}}"#
    static let discovered = #""result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}"#

    /// - Parameter isOpen: it begins in an open session of the handshake revisions.
    func play(isOpen: Bool = false) {
        var rig = SessionRig()
        for (number, step) in ((isOpen ? Self.legacy : []) + steps).enumerated() {
            let asks = rig.on(step.event)
            #expect(asks == step.asks, "\(name), step \(number + 1): \(step.event)")
        }
    }
}
