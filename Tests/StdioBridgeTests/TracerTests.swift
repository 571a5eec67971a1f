import NIOCore
import Testing

@testable import StdioBridge

@Suite struct TracerTests {
    /// One message of a conversation, and its line.
    struct Row: Sendable {
        var isSent: Bool
        var milliseconds: Int64
        var message: String
        var line: String?
    }

    @Test func aConversation() {
        let rows = [
            Row(
                isSent: true, milliseconds: 0, message: #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
                line: "→ tools/call id 1, 69 B"),
            Row(
                isSent: false, milliseconds: 1, message: #"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
                line: "← notifications/progress, 52 B"),
            Row(
                isSent: false, milliseconds: 2, message: #"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#,
                line: "← roots/list id 1, 47 B"),
            Row(
                isSent: true, milliseconds: 5, message: #"{"jsonrpc":"2.0","id":1,"result":{}}"#,
                line: "→ result of roots/list id 1, 3.0 ms, 37 B"),
            Row(
                isSent: false, milliseconds: 12, message: #"{"jsonrpc":"2.0","id":1,"result":{}}"#,
                line: "← result of tools/call id 1, 12.0 ms, 37 B"),
            // Nobody waits for a second answer.
            Row(
                isSent: false, milliseconds: 13, message: #"{"jsonrpc":"2.0","id":1,"result":{}}"#,
                line: "← result id 1, 37 B"),
            Row(
                isSent: true, milliseconds: 20, message: #"{"jsonrpc":"2.0","id":"a","method":"ping"}"#,
                line: "→ ping id \"a\", 43 B"),
            Row(
                isSent: false, milliseconds: 21, message: #"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"no"}}"#,
                line: "← error of ping id \"a\", 1.0 ms, 61 B"),
            Row(isSent: false, milliseconds: 22, message: "no message", line: nil),
            Row(
                isSent: false, milliseconds: 23, message: #"{"jsonrpc":"2.0","method":"a\u001b[2J"}"#,
                line: "← a\u{FFFD}[2J, 40 B"),
        ]
        var tracer = Tracer(bodies: false)
        for row in rows {
            let now = NIODeadline.uptimeNanoseconds(1_000_000_000) + .milliseconds(row.milliseconds)
            let message = ByteBuffer(string: row.message + "\n")
            #expect((row.isSent ? tracer.sent(message, now: now) : tracer.received(message, now: now)) == row.line)
        }
    }

    @Test func bodiesAreMaskedAndCut() {
        var tracer = Tracer(bodies: true, mask: SecretMask(values: ["hunter22"]))
        let call = ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"key":"hunter22"}}"#)
        #expect(tracer.sent(call) == #"→ m id 1, 65 B {"key":"***"}"#)
        // A value that the cut would halve.
        let text = String(repeating: "x", count: 2038) + "hunter22" + String(repeating: "y", count: 1000)
        let line = tracer.received(ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"result":{"t":"\#(text)"}}"#)) ?? ""
        #expect(line.hasSuffix("…") && line.utf8.count > 2000)
        #expect(!line.contains("hunt") && line.utf8.count < 2048 + 100)
    }
}
