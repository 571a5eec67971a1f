import JSONText
import MCP
import NIOCore
import Testing

/// A `Back` with a child that the test plays.
struct BackBench {
    var back: Back
    /// Lines written and not looked at yet.
    var lines: [JSONValue] = []
    var finished: [CallID: String] = [:]
    var notified: [(CallID, JSONValue)] = []
    /// Timers that were set and not taken back.
    var timers: [BackTimer] = []
    /// Every other action, in words.
    var log: [String] = []

    /// - Parameter declaring: what its first client can be asked.
    init(era: Back.EraChoice = .auto, opening: Back.Opening = .probe, canAsk: Bool = true, declaring: String? = nil) {
        back = Back(era: era, opening: opening, canAsk: canAsk)
        if let declaring { back.declare(ByteBuffer(string: declaring)) }
        perform(back.start())
    }

    /// A child of `era`, ready.
    init(ready era: Era, capabilities: String = #"{"tools":{},"logging":{}}"#, canAsk: Bool = true, version: String = "2025-06-18") throws {
        self.init(era: era == .legacy ? .legacy : .auto, canAsk: canAsk)
        let id = try next("id").text
        if era == .modern {
            receive(
                #"{"jsonrpc":"2.0","id":\#(id),"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":\#(capabilities),"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"m"}}}}"#
            )
        } else {
            receive(
                #"{"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"\#(version)","capabilities":\#(capabilities),"serverInfo":{"name":"l"}}}"#)
            #expect(try next("method").stringValue == "notifications/initialized")
        }
        try #require(back.era == era)
        log = []
    }

    mutating func perform(_ actions: [BackAction]) {
        for action in actions {
            switch action {
            case .write(let line):
                #expect(line.text.last == "\n" && !line.text.dropLast().contains { $0.isNewline })
                lines.append((try? JSONValue(parsing: line.text)) ?? .null)
            case .finish(let call, let outcome):
                #expect(finished[call] == nil, "finished twice")
                finished[call] = Self.describe(outcome)
            case .notify(let call, let message): notified.append((call, (try? JSONValue(parsing: message.text)) ?? .null))
            case .ready(let identity, let era): log.append("ready \(era) \(identity.serverInfo.text) \(identity.capabilities.text)")
            case .restartForEra: log.append("restart")
            case .handshakeFailed(let reason): log.append("failed \(reason)")
            case .noise(let line, let isStray): log.append((isStray ? "stray " : "noise ") + line.text)
            case .armTimer(let timer, let seconds):
                timers.removeAll { $0 == timer }
                timers.append(timer)
                log.append("arm \(timer) \(seconds)")
            case .disarmTimer(let timer):
                timers.removeAll { $0 == timer }
                log.append("disarm \(timer)")
            case .broadcast(let message): log.append("broadcast \(message.text)")
            }
        }
    }

    static func describe(_ outcome: MCPOutcome) -> String {
        switch outcome {
        case .result(let result): result.text
        case .error(let error): "error \(error.code) \(error.message)" + (error.data.map { " \($0.text)" } ?? "")
        case .failed(let undelivered): undelivered.kind.rawValue
        }
    }

    mutating func receive(_ line: String) { perform(back.received(line: ByteBuffer(string: line))) }

    mutating func send(_ call: Int, _ body: String = #""method":"tools/call","params":{"name":"t"}"#, id: String = "1") throws {
        perform(back.send(try MCPRequest(message: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),\#(body)}"#)), call: CallID(call)))
    }

    /// The oldest line not looked at, consumed.
    mutating func next() throws -> JSONValue {
        try #require(!lines.isEmpty)
        return lines.removeFirst()
    }

    mutating func next(_ key: String) throws -> JSONValue {
        let line = try next()
        return try #require(line[key])
    }

    subscript(call: Int) -> String? { finished[CallID(call)] }
}
