import NIOCore
import StdioBridge
import Testing

struct StderrLogTests {
    @Test func masksValuesInLinesAndInTheTail() {
        var log = StderrLog(mask: SecretMask(values: ["s3cret-value", "abc", "line-one-of-key\nline-two-of-key"]))
        let lines = log.append(ByteBuffer(string: "token s3cret-value abc\nkey line-two-of-key!\npartial s3cret"))
        #expect(lines == ["token *** abc", "key ***!"])
        #expect(log.append(ByteBuffer(string: "-value\n")) == ["partial ***"])
        #expect(!log.lastLines.contains("s3cret"))
        #expect(log.lastLines.hasSuffix("partial ***\n"))
    }

    @Test func leavesNoHalfOfAValueWhereTheTailBegins() {
        let secret = String(repeating: "k", count: 40) + "END"
        var log = StderrLog(mask: SecretMask(values: [secret]))
        _ = log.append(ByteBuffer(string: String(repeating: secret, count: 400)))
        #expect(!log.lastLines.contains("k"))
        #expect(log.lastLines.utf8.count <= 4096)
    }

    @Test func limitsTheRateAndTellsWhatItDropped() {
        let start = NIODeadline.now()
        var log = StderrLog(now: start)
        let flood = ByteBuffer(string: String(repeating: "line\n", count: 5000))
        #expect(log.append(flood, now: start).count == 400)
        #expect(log.droppedLines == 4600)
        let later = log.append(ByteBuffer(string: "after\n"), now: start + .seconds(1))
        #expect(later == ["4600 lines dropped", "after"])
    }

    /// What the Python SDK 1.30.0 writes.
    private static func complaint(_ method: String, _ count: Int) -> String {
        "Failed to validate request: \(count) validation errors for ClientRequest\n"
            + (0..<count).map { number in
                "Number\(number)Request.method\n  Input should be 'x' [type=literal_error, input_value='\(method)', input_type=str]\n"
                    + "    For further information visit https://errors.pydantic.dev/2.14/v/literal_error\n"
            }.joined()
    }

    @Test func whatAServerSaysOfTheProbeIsOneLine() {
        var log = StderrLog()
        let lines = log.append(ByteBuffer(string: "banner\n" + Self.complaint("server/discover", 31) + "ready\n"))
        #expect(lines == ["banner", "(94 lines about server/discover, which this server does not know, are left out)", "ready"])
        let other = Self.complaint("tools/cal", 2)
        #expect(log.append(ByteBuffer(string: other)) == other.split(separator: "\n").map(String.init))
        // Cut short by other lines, or by the end.
        let short = Self.complaint("server/discover", 31).split(separator: "\n").prefix(4).joined(separator: "\n") + "\n"
        #expect(log.append(ByteBuffer(string: short + "ready\n")).last == "ready")
        #expect(log.append(ByteBuffer(string: "Failed to validate request: 3 validation errors for ClientRequest\n")).isEmpty)
        #expect(log.finish() == ["Failed to validate request: 3 validation errors for ClientRequest"])
    }

    @Test func cutsALineWithoutEnd() {
        var log = StderrLog()
        let lines = log.append(ByteBuffer(string: String(repeating: "z", count: 100_000)))
        #expect(lines.map(\.utf8.count) == [8192])
        #expect(log.append(ByteBuffer(string: "still the same line\nnext\n")) == ["next"])
    }
}
