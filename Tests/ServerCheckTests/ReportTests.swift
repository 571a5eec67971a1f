import JSONText
import Testing

@testable import ServerCheck

@Suite struct ReportTests {
    private static var report: Report {
        var report = Report(command: ["server"])
        report.name = "demo"
        report.version = "1"
        report.era = "modern"
        report.protocolVersion = "2026-07-28"
        report.tools = 1
        report.startMilliseconds = 2_849
        report.residentBytes = 77_700_000
        report.add([
            Finding("start.time", .pass, "quick"), Finding("tools.names", .warning, "long", remedy: "shorten it", tool: "t"),
            Finding("tools.schema", .failure, "5 < \"x\" & y", remedy: "mend it", tool: "t<1>", pointer: "/a"),
            Finding("calls.cancel", .skipped, "no call"),
        ])
        return report
    }

    @Test func forPeople() {
        #expect(
            ReportText.lines(Self.report) == [
                "demo 1: 2026-07-28 (modern), 1 tool, started in 2.8 s, 74 MB", "", "start", "  pass         quick", "", "tools",
                "  warning      t: long", "               → shorten it", "  failure      t<1> /a: 5 < \"x\" & y", "               → mend it", "",
                "calls",
                "  not checked  cancel: no call", "", "failed: 1 passed, 0 notes, 1 warning, 1 failure, 1 not checked",
            ])
        var unstarted = Report(command: [])
        unstarted.add(["end.input", "end.children"].map { Finding($0, .skipped, "it did not start") })
        #expect(ReportText.lines(unstarted).contains("  not checked  input, children: it did not start"))
        #expect(ReportText.title(Report(command: ["./server"])) == "./server")
    }

    /// A name with line ends is one line, and no control character reaches the terminal.
    @Test func aServersWordsForgeNoLine() {
        var report = Report(command: ["server"])
        report.name = "demo\n\npassed: 17 passed"
        report.version = "1\u{1B}[2J"
        report.add([
            Finding("tools.names", .warning, "a\r\nb", remedy: "c\n\nd", tool: "t\n\npassed: 17 passed, 0 failures\u{1B}[8m", pointer: "/p\n"),
            Finding("calls.cancel", .skipped, "no\ncall"),
        ])
        let lines = ReportText.lines(report)
        #expect(lines.count == 11 && !lines.joined().unicodeScalars.contains { $0.value < 0x20 }, "\(lines)")
        #expect(lines.count { $0.hasPrefix("passed") } == 1, "\(lines)")
        let plain = Self.report
        var forged = plain
        forged.add(report.findings[0])
        let more = ReportJUnit.text(forged).split(separator: "\n").count - ReportJUnit.text(plain).split(separator: "\n").count
        #expect(more == 3 && !ReportJUnit.text(forged).unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    }

    @Test func severalLinesStayTogether() {
        var report = Report(command: ["server"])
        let long = String(repeating: "word ", count: 300)
        report.add([
            Finding("calls.tool", .note, "it answered with an error: 1 error\ntimezone\r\n  Field required", remedy: "mend it", tool: "t"),
            Finding("calls.tool", .note, long),
        ])
        let lines = ReportText.lines(report)
        #expect(
            lines[2...6] == [
                "calls", "  note         t: it answered with an error: 1 error", "               timezone", "                 Field required",
                "               → mend it",
            ])
        #expect(lines[7].hasSuffix("word…") && lines[7].count <= 1_000)
    }

    @Test func whatWasGivenInSecretIsNowhere() {
        let secret = "sk-live-0123456789"
        var report = Report(command: ["server", "--key=" + secret], secrets: [secret])
        report.name = "demo " + secret
        report.add(Finding("calls.tool", .note, "401: " + secret, remedy: "not \(secret)", tool: secret, pointer: "/" + secret))
        report.add([Finding("calls.tool", .note, "401: " + Excerpt.of("key \(secret) was refused", 14))])
        let told = [ReportText.lines(report).joined(separator: "\n"), ReportJSON.value(report).text, ReportJUnit.text(report)]
        for text in told { #expect(text.contains("***") && !text.contains("sk-l"), "\(text)") }
    }

    @Test(arguments: [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("", 3, ""), ("größe", 4, "grö…"), ("a word is cut", 10, "a word is…"),
        ("a word is cut", 9, "a word…"), ("a word", 6, "a word"), ("it abcdefgh", 9, "it abcde…"), ("two\nlines", 6, "two…")])
    func anExcerptSaysThatItIsOne(_ text: String, _ limit: Int, _ excerpt: String) {
        #expect(Excerpt.of(text, limit) == excerpt)
    }

    @Test func forPrograms() {
        let value = ReportJSON.value(Self.report)
        #expect(value["passed"] == false && value["counts"]?["skipped"] == 1 && value["server"]?["startMilliseconds"] == 2_849)
        #expect(
            value["findings"]?[2]
                == .record(
                    ("id", "tools.schema"), ("severity", "failure"), ("text", "5 < \"x\" & y"), ("tool", "t<1>"), ("pointer", "/a"),
                    ("remedy", "mend it")))
    }

    @Test func warningsCountWhereTheyAreMeantTo() {
        var report = Report(command: [])
        report.add(Finding("a.b", .warning, "w"))
        #expect(report.hasPassed() && !report.hasPassed(isStrict: true))
        report.add(Finding("a.c", .skipped, "s"))
        #expect(ReportJUnit.text(report).contains(#"tests="2" failures="0" skipped="1""#))
        #expect(ReportJUnit.text(report, isStrict: true).contains(#"<failure type="warning" message="w">w</failure>"#))
    }

    @Test func forContinuousIntegration() {
        let text = ReportJUnit.text(Self.report)
        #expect(
            text.hasPrefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"berth test\" tests=\"4\" failures=\"1\" skipped=\"1\">\n"))
        #expect(text.contains(#"<testcase classname="berth.tools" name="tools.schema t&lt;1&gt; /a">"#))
        #expect(text.contains(#"<failure type="failure" message="t&lt;1&gt; /a: 5 &lt; &quot;x&quot; &amp; y">"#))
        #expect(text.contains("mend it</failure>"))
        #expect(text.contains(#"<skipped message="no call"/>"#))
        #expect(text.hasSuffix("</testsuites>\n"))
    }

    @Test(arguments: [
        ("a&b<c>\"d\"", "a&amp;b&lt;c&gt;&quot;d&quot;"), ("x\ny\tz", "x&#10;y&#9;z"),
        ("\u{1B}[31m\u{0}\u{FFFE}\u{FFFF}", "\u{FFFD}[31m\u{FFFD}\u{FFFD}\u{FFFD}"),
        ("größe ✓ 😀 ]]>", "größe ✓ 😀 ]]&gt;"),
    ]) func whatXMLCannotHoldIsEscaped(_ text: String, _ escaped: String) {
        #expect(ReportJUnit.escaped(text) == escaped)
    }

    @Test(
        arguments: [("echo", 0), (#"echo={"a":1}"#, 1), ("echo=", nil), (#"={"a":1}"#, nil), ("echo=[1]", nil), ("echo={", nil)] as [(String, Int?)])
    func aSafeCallIsAToolAndAnObject(_ text: String, _ count: Int?) {
        #expect(SafeCall(text)?.arguments.count == count)
    }

    @Test func onlyAHarmlessToolIsCalledUnasked() {
        let tools: [JSONValue] = [
            ["name": "a"], ["name": "b", "annotations": ["readOnlyHint": false]],
            ["name": "c", "annotations": ["readOnlyHint": true], "inputSchema": ["required": ["x"]]],
        ]
        #expect(SafeCall.among(tools) == nil)
        #expect(SafeCall.among(tools + [["name": "d", "annotations": ["readOnlyHint": true]]])?.tool == "d")
    }
}
