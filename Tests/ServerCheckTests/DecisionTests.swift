import JSONText
import Testing

@testable import ServerCheck
@testable import StdioBridge

/// What a number, a list or an answer means: each threshold from both sides.
@Suite struct DecisionTests {
    @Test(arguments: [
        (9_999, .pass, "it answered the handshake 9.9 s after its start"),
        (10_000, .warning, "it answered the handshake 10.0 s after its start, and some clients wait 10 s"),
    ] as [(Int, Finding.Severity, String)])
    func aStartIsSlowFromTenSeconds(_ milliseconds: Int, _ severity: Finding.Severity, _ text: String) {
        let found = StartCheck.time(milliseconds)
        #expect(found.id == "start.time" && found.severity == severity && found.text == text && (found.remedy == nil) == (severity == .pass))
    }

    @Test(arguments: [
        (256 << 20, 1, .pass, "256 MB of memory with its tools listed"), (1 << 20, 3, .pass, "1 MB of memory with its tools listed, in 3 processes"),
        ((256 << 20) + 1, 1, .warning, "256 MB of memory with its tools listed: more than the 256 MB of a usual machine"),
        (0, 0, .skipped, "its process could not be looked at"),
    ] as [(Int, Int, Finding.Severity, String)])
    func aMachineHasSoMuchMemory(_ bytes: Int, _ processes: Int, _ severity: Finding.Severity, _ text: String) {
        let found = StartCheck.memory(bytes, processes: processes)
        #expect(found.id == "start.memory" && found.severity == severity && found.text.split(separator: ", and").first == text[...])
    }

    @Test(arguments: [
        (1, false, .pass, "it answers"), (2, false, .warning, "it ended when"), (1, true, .warning, "it does not answer"),
        (2, true, .warning, "it ended when"),
    ] as [(Int, Bool, Finding.Severity, String)])
    func theProbeIsAnswered(_ starts: Int, _ isUnanswered: Bool, _ severity: Finding.Severity, _ text: String) {
        let found = StartCheck.probe(starts: starts, isUnanswered: isUnanswered)
        #expect(found.severity == severity && found.text.hasPrefix(text) && (found.remedy == nil) == (severity == .pass))
    }

    @Test(arguments: [
        (.silent(seconds: 3), true, "answer it, or give --timeout"), (.broken("the server exited with status 1"), true, "find out on which message"),
        (.broken("the server was killed by SIGSEGV"), false, "find out on which message"),
        (.error(code: -32_601, message: "Method not found"), true, "answer tools/list, or"),
        (.error(code: -32_601, message: "Method not found"), false, "a gateway has nothing"),
    ] as [(Reply, Bool, String)])
    func aMissingListHasItsRemedy(_ reply: Reply, _ declares: Bool, _ remedy: String) {
        let found = StartCheck.unlisted(reply, declares: declares, bridge: "b")
        #expect(found.severity == .failure && found.text.hasPrefix("tools/list failed: ") && found.remedy?.hasPrefix(remedy) == true)
    }

    @Test(arguments: [
        ("it exited", "it did not start: it exited", "run the command yourself"),
        ("it exited\n a\n b\n c\n d", "it did not start: it exited; its last words: b | c | d", "mend what it says"),
        // A traceback without its place, and an error without its first line, say little.
        (
            "it exited\n  File \"a.py\", line 9\n  File \"b.py\", line 2\n    def x(:\n          ^\nSyntaxError: bad\n",
            "it did not start: it exited; its last words: File \"b.py\", line 2 | def x(: | ^ | SyntaxError: bad", "mend what it says"
        ),
        (
            "it exited\nhello\nerror: unrecognized subcommand\n\n  tip: 'drug'\n\nUsage: x\nmore",
            "it did not start: it exited; its last words: error: unrecognized subcommand | tip: 'drug' | Usage: x", "mend what it says"
        ),
        // The cause comes last, behind however much.
        (
            "it exited\n  File \"a.py\", line 9\n    f()\n    ^^^\nValueError: x\nclosing\nclosed\nTHE CAUSE",
            "it did not start: it exited; its last words: File \"a.py\", line 9 | f() | ^^^ | ValueError: x | closing | closed | THE CAUSE",
            "mend what it says"
        ),
        (
            "it exited\nfirst\n\(String(repeating: "x", count: 690))\nTHE CAUSE", "it did not start: it exited; its last words: THE CAUSE",
            "mend what it says"
        ),
    ])
    func lastWordsAreTold(_ problem: String, _ text: String, _ remedy: String) {
        let found = StartCheck.failure(.broken(problem))
        #expect(found.severity == .failure && found.text == text && found.remedy?.hasPrefix(remedy) == true)
    }

    @Test(arguments: [
        (["name": "a", "version": "1"], .pass, "it tells"), (["name": "a"], .failure, "serverInfo has no version"),
        (["version": 1], .failure, "serverInfo has no name and no version"), (["name": "", "version": 1], .failure, "serverInfo has no version"),
        (["name": "a", "version": ""], .warning, "serverInfo has an empty version"),
        (["name": "", "version": ""], .warning, "serverInfo has an empty name and an empty version"),
    ] as [(JSONValue, Finding.Severity, String)])
    func aServerHasANameAndAVersion(_ info: JSONValue, _ severity: Finding.Severity, _ text: String) {
        let found = HandshakeCheck.identity(["serverInfo": info])
        #expect(found.severity == severity && found.text.hasPrefix(text))
        #expect(severity != .warning || found.remedy?.contains("version=\"1.0\")") == true)
    }

    @Test(arguments: [
        (["error": ["code": -32601, "message": "no\nsuch"]], "it declares logging, and logging/setLevel fails: no"),
        (["error": 7], "it declares logging, and logging/setLevel fails: 7"), (["result": [:]], nil), (nil, nil),
    ] as [(JSONValue?, String?)])
    func whoDeclaresLoggingTakesALevel(_ answer: JSONValue?, _ text: String?) {
        let found = HandshakeCheck.level(answer)
        #expect(found.map(\.text) == [text].compactMap(\.self) && found.allSatisfy { $0.severity == .warning && $0.remedy != nil })
    }

    @Test func oneEraIsNoFault() {
        #expect(HandshakeCheck.era("modern", "2026-07-28").severity == .pass)
        let legacy = HandshakeCheck.era("legacy", nil)
        #expect(legacy.severity == .note && legacy.text.hasPrefix("it speaks an unknown revision and not 2026-07-28: "))
    }

    @Test(arguments: [
        (["a", "b"], ["a", "b"], .pass, "see the same tools"), (["a", "b"], ["b", "a"], .warning, "in another order"),
        (["a", "b"], ["a"], .warning, "list other tools"), (["a"], ["a", "a"], .warning, "list other tools"),
    ] as [([String], [String], Finding.Severity, String)])
    func twoProcessesListTheSame(_ one: [String], _ two: [String], _ severity: Finding.Severity, _ text: String) {
        let (one, two) = (one.map { JSONValue.object(["name": .string($0)]) }, two.map { JSONValue.object(["name": .string($0)]) })
        let found = HandshakeCheck.lists(one, two)
        #expect(found.id == "handshake.modern" && found.severity == severity && found.text.hasSuffix(text))
    }

    /// By number before by size.
    @Test(arguments: [
        (0, 0, .warning, "it has no tools"), (128, 0, .pass, "128 tools, "), (129, 0, .warning, "129 tools, "), (1, 65_504, .pass, "1 tool, 64 KB"),
        (1, 65_505, .note, "1 tool, 65 KB: every conversation pays"), (129, 70_000, .warning, "129 tools, "),
    ] as [(Int, Int, Finding.Severity, String)])
    func aListHasItsBounds(_ count: Int, _ padding: Int, _ severity: Finding.Severity, _ text: String) throws {
        var tools = (0..<count).map { JSONValue.object(["name": .string("t\($0)")]) }
        if padding > 0 { tools[0] = ["name": "t0", "description": .string(String(repeating: "x", count: padding))] }
        var report = Report(command: [])
        ToolsCheck.run(tools, nil, &report)
        let found = try #require(report.findings.first { $0.id == "tools.list" })
        #expect(found.severity == severity && found.text.hasPrefix(text), "\(found.text.prefix(80)) \(JSONValue.array(tools).serialized().count)")
    }

    @Test(arguments: [
        (0, nil, .pass, "nothing but messages"), (1, "hi", .failure, "1 line on standard output that are no messages ('hi'); "),
        (2, nil, .failure, "2 lines on standard output that are no messages; "),
    ] as [(Int, String?, Finding.Severity, String)])
    func noiseIsAFailure(_ lines: Int, _ example: String?, _ severity: Finding.Severity, _ text: String) {
        let found = OutputCheck.noise(lines, example: example)
        #expect(found.severity == severity && found.text.hasPrefix(text))
    }

    @Test(arguments: [(16_384, .pass), (16_385, .note), (262_144, .note), (262_145, .warning)] as [(Int, Finding.Severity)])
    func standardErrorIsForWhatMatters(_ bytes: Int, _ severity: Finding.Severity) {
        #expect(OutputCheck.errors(bytes).severity == severity)
    }

    @Test(arguments: [
        (nil, 2, .pass, "killed, told, and the next process served after 3.0 s"),
        ("it exited", 0, .failure, "after its process was killed the next one does not serve: it exited"),
        (nil, 1, .failure, "after its process was killed the next one does not serve: it lists 1 tools instead of 2"),
    ] as [(String?, Int, Finding.Severity, String)])
    func theNextProcessServes(_ problem: String?, _ tools: Int, _ severity: Finding.Severity, _ text: String) {
        let found = DeathCheck.next(problem: problem, tools: tools, of: 2, after: 3_000, told: "told, and ")
        #expect(found.id == "calls.death" && found.severity == severity && found.text == text)
    }

    @Test(arguments: [
        (["9007199254740992", "-1", "1.5", "1e400"], nil), (["1", "9007199254740993"], "9007199254740993"),
        (["-9007199254740993"], "-9007199254740993"), (["123456789012345678901234567890123456789012345"], "123456789012345678901234567890123456789…"),
    ] as [([String], String?)])
    func wholeNumbersHaveABound(_ literals: [String], _ worst: String?) {
        let found = NumbersCheck.integers(literals, "the list")
        #expect(found?.text == worst.map { "the list has \($0), which clients written in JavaScript read as another number" })
        #expect(found == nil || found?.id == "calls.integers" && found?.severity == .warning)
    }

    @Test(arguments: [
        (0, .pass, "it ended 0 ms after its input"), (1_999, .pass, "it ended 1.9 s after"), (2_000, .warning, "it ended 2.0 s after"),
        (4_999, .warning, "it ended 4.9 s after"), (5_000, .failure, "it ignores the end of its input, and ended by SIGTERM after 5 s"),
        (9_999, .failure, "it ignores the end of its input, and ended by SIGTERM"), (10_000, .failure, "it ignores the end of its input and SIGTERM"),
        (nil, .failure, "its process is still there 20.0 s after its end"),
    ] as [(Int?, Finding.Severity, String)])
    func anEndIsInTime(_ milliseconds: Int?, _ severity: Finding.Severity, _ text: String) {
        let found = EndCheck.input(milliseconds, waited: 20_000)
        #expect(found.id == "end.input" && found.severity == severity && found.text.hasPrefix(text))
    }

    @Test func whatStaysIsNamed() {
        #expect(EndCheck.children([]).severity == .pass)
        let two = EndCheck.children([LeftProcess(pid: 7, command: "sleep 9"), LeftProcess(pid: 8, command: "")])
        #expect(two.severity == .failure && two.text == "it left 2 processes behind: 'sleep 9', process 8")
    }
}
