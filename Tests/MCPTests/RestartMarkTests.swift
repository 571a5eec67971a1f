import JSONText
import MCP
import NIOCore
import Testing

@Suite struct RestartMarkTests {
    @Test(arguments: [
        (#"{"content":[]}"#, #"{"_meta":{"berth/restarted":true},"content":[]}"#),
        (#"{"_meta":{"a":1},"content":[]}"#, #"{"_meta":{"berth/restarted":true,"a":1},"content":[]}"#),
        (#"{}"#, #"{"_meta":{"berth/restarted":true}}"#),
        // A result that a bridge marked and that its gateway marks once more.
        (#"{"_meta":{"berth/restarted":true}}"#, #"{"_meta":{"berth/restarted":true}}"#),
        (#"{"_meta":{"berth/restarted":false}}"#, #"{"_meta":{"berth/restarted":true}}"#),
        (#"{"_meta":7}"#, #"{"_meta":7}"#),
        ("[]", "[]"),
    ])
    func theResultIsMarkedInPlace(result: String, expected: String) throws {
        let marked = String(buffer: RestartMark.added(to: ByteBuffer(string: result)))
        #expect(try JSONValue(parsing: marked) == JSONValue(parsing: expected), "\(marked)")
    }
}
