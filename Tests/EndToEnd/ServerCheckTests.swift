import Foundation
import TestSupport
import Testing

/// `berth test` as an author runs it.
@Suite(.serialized) struct ServerCheckTests {
    private struct Result {
        var command: CommandResult
        var passed: Bool?
        var findings: [[String: Any]]

        /// Severities of all findings with this identifier.
        func severities(_ id: String) -> [String] {
            findings.filter { $0["id"] as? String == id }.compactMap { $0["severity"] as? String }
        }

        func texts(_ id: String) -> String {
            findings.filter { $0["id"] as? String == id }.map { "\($0["tool"] ?? "") \($0["pointer"] ?? "") \($0["text"] ?? "")" }.joined(
                separator: "\n")
        }

        /// Identifiers of what failed or was warned of.
        var bad: Set<String> {
            Set(findings.filter { ["failure", "warning"].contains($0["severity"] as? String) }.compactMap { $0["id"] as? String })
        }
    }

    private static func test(_ options: [String], _ command: [String]) async throws -> Result {
        let words = [Repository.binary("berth"), "test", "--json"] + options + ["--"] + command
        let result = try await Command.run(words, seconds: 240)
        return Result(
            command: result, passed: result.lastJSON?["passed"] as? Bool, findings: result.lastJSON?["findings"] as? [[String: Any]] ?? [])
    }

    private static func faulty(_ words: String...) -> [String] { [BridgeRig.python, Repository.fixture("faulty.py")] + words }

    /// What no fault touches: everything passes, and everything was checked.
    @Test func aGoodServerPasses() async throws {
        let result = try await Self.test(["--call", "wait={}"], Self.faulty("none"))
        #expect(result.command.status == 0 && result.passed == true && result.bad.isEmpty, "\(result.command)")
        #expect(!result.findings.contains { $0["severity"] as? String == "skipped" }, "\(result.command.output)")
        for id in ["calls.cancel", "calls.death", "calls.numbers", "sessions.two", "end.input", "end.children", "tools.credentials", "start.probe"] {
            #expect(result.severities(id) == ["pass"], "\(id) in \(result.command.output)")
        }
    }

    @Test(arguments: [
        ("bad_schema", "tools.schema", #"wait /inputSchema/properties/a/type "str" is no type"#),
        ("bad_schema", "tools.schema", "/properties/b/$ref #/$defs/none leads nowhere"),
        ("bad_schema", "tools.schema", "wait /inputSchema/required required names c"),
        ("bad_argument", "tools.names", "/inputSchema/properties/rule[]"),
        ("long_name", "tools.names", "70 characters"), ("bad_name", "tools.names", "the protocol allows"),
        ("no_version", "handshake.identity", "serverInfo has no version"),
        ("no_version", "handshake.capabilities", "it declares prompts, and prompts/list fails"),
        ("no_list", "tools.list", "tools/list failed: the server exited with status 9"), ("prints", "output.stdout", "('called a tool')"),
        ("prints_late", "output.stdout", "('held until the end')"),
        ("dies_on_cancel", "calls.cancel", "did not survive a cancelled call"), ("ignores_eof", "end.input", "ended by SIGTERM after 5 s"),
        ("leaves_child", "end.children", "it left a process behind: 'sleep 600'"),
    ]) func aFaultIsAFailure(_ fault: String, _ id: String, _ text: String) async throws {
        let result = try await Self.test(["--timeout", "20"], Self.faulty(fault))
        #expect(result.command.status == 1 && result.passed == false, "\(result.command)")
        #expect(result.severities(id).contains("failure") && result.texts(id).contains(text), "\(result.command.output)")
        let remedies = result.findings.filter { $0["severity"] as? String == "failure" }.map { $0["remedy"] as? String ?? "" }
        #expect(remedies.allSatisfy { !$0.isEmpty }, "\(result.command.output)")
    }

    @Test(
        arguments: [
            ("dies_on_discover", "start.probe", "had to be started twice", []), ("ends_late", "end.input", "bridges send SIGTERM after 2 s", []),
            ("chatty", "output.stderr", "500000 bytes", []),
            (
                "rounds", "calls.numbers", "was sent 12345678901234567 and answered with 1.2345678901234568e+16",
                ["--call", #"wait={"number": 12345678901234567}"#]
            ),
            ("needs_env", "tools.credentials", "it lists 0 tools instead of 1", ["--env", "API_KEY=abcdef"]),
        ] as [(String, String, String, [String])])
    func whatAGatewayCanLiveWithIsAWarning(_ fault: String, _ id: String, _ text: String, _ options: [String]) async throws {
        async let strict = Self.test(options + ["--strict"], Self.faulty(fault))
        let result = try await Self.test(options, Self.faulty(fault))
        #expect(result.command.status == 0 && result.severities(id) == ["warning"], "\(result.command.output)")
        #expect(result.texts(id).contains(text), "\(result.command.output)")
        #expect(try await strict.command.status == 1)
    }

    @Test func aServerThatOnlyRunsOnce() async throws {
        try await withFolder { folder in
            let result = try await Self.test(["--timeout", "10"], Self.faulty("one_only", folder + "/lock"))
            #expect(result.command.status == 1 && result.severities("sessions.two") == ["failure"], "\(result.command.output)")
        }
    }

    /// In a session of its own, which no signal to the server's group reaches.
    @Test func aDaemonIsFoundAndEnded() async throws {
        let seconds = "600.\(Int.random(in: 1_000_000...9_999_999))"
        let result = try await Self.test([], Self.faulty("leaves_child", "daemon", seconds))
        #expect(result.command.status == 1 && result.texts("end.children").contains("'sleep \(seconds)'"), "\(result.command.output)")
        let left = try await Command.run(["/usr/bin/pgrep", "-f", "^sleep \(seconds)$"])
        #expect(left.output.isEmpty, "\(left)")
    }

    /// No look at all processes need ever meet it.
    @Test func aDaemonThatIsNeverTheSameIsFoundAndEnded() async throws {
        try await withFolder(["lock": ""]) { folder in
            let result = try await Self.test([], Self.faulty("never_the_same", folder + "/lock"))
            #expect(result.command.status == 1 && result.severities("end.children") == ["failure"], "\(result.command.output)")
            #expect(result.texts("end.children").contains("it left "), "\(result.command.output)")
            #expect(BridgeRig.isFree(folder + "/lock"))
        }
    }

    /// In the report for people, for programs and for continuous integration: also of a text that is cut in the middle of it.
    @Test(arguments: [0, 130]) func aSecretThatTheServerRepeatsIsInNoReport(_ before: Int) async throws {
        try await withFolder(["env": "API_KEY=sk-live-0123456789-abcdefghijklmnop\n"]) { folder in
            let options = ["--env-file", folder + "/env", "--junit", folder + "/report.xml"]
            let server = Self.faulty("tells", "\(before)")
            let result = try await Self.test(options, server)
            #expect(result.texts("calls.tool").contains("***"), "\(result.command)")
            let text = try await Command.run([Repository.binary("berth"), "test"] + options + ["--"] + server)
            let xml = try String(contentsOfFile: folder + "/report.xml", encoding: .utf8)
            for told in [result.command.output, text.output, xml] { #expect(told.contains("***") && !told.contains("sk-l"), "\(told)") }
        }
    }

    @Test func aReportThatCannotBeWrittenIsToldBeforeTheRun() async throws {
        try await withFolder() { folder in
            let server = ["/bin/sh", "-c", "touch \(folder)/started"]
            for options in [["--junit", folder + "/none/x"], ["--write-baseline", "--baseline", folder]] {
                let result = try await Self.test(options, server)
                #expect(result.command.status == 1 && result.command.errors.contains("cannot be written"), "\(result.command)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    /// What a killed server could not end is not held against one that ends it when it can.
    @Test func whatTheTestItselfOrphansIsNoFault() async throws {
        let result = try await Self.test([], Self.faulty("ends_child"))
        #expect(result.command.status == 0 && result.severities("end.children") == ["pass"], "\(result.command.output)")
    }

    @Test func aServerThatNeverAnswers() async throws {
        let result = try await Self.test(["--timeout", "3"], [BridgeRig.python, Repository.fixture("never_ready.py")])
        #expect(result.command.status == 1 && result.texts("start.handshake").contains("it did not start: "), "\(result.command.output)")
        #expect(result.texts("start.handshake").contains("waiting for a database"), "\(result.command.output)")
    }

    /// What it printed is why: its answers came behind that, on the same line.
    @Test func aServerThatAsksOnItsTerminal() async throws {
        let result = try await Self.test(["--timeout", "3"], [BridgeRig.python, Repository.fixture("asks_first.py")])
        let text = result.texts("start.handshake")
        #expect(result.command.status == 1 && text.contains("within 3 s; it printed 'Your name? "), "\(result.command.output)")
        #expect(text.contains("on standard output, which is for messages alone, and may wait for an answer"), "\(result.command.output)")
    }

    /// However often it was started.
    @Test func linesAreCountedOnce() async throws {
        let result = try await Self.test([], [BridgeRig.python, Repository.fixture("banner.py")])
        #expect(result.texts("output.stdout").contains(" 1 line on standard output"), "\(result.command.output)")
    }

    @Test func aServerThatDoesNotStart() async throws {
        let result = try await Self.test([], [BridgeRig.python, Repository.fixture("fails_to_start.py")])
        #expect(result.command.status == 1 && result.bad == ["start.handshake"], "\(result.command.output)")
        #expect(result.texts("start.handshake").contains("exited with status 78; its last words: no configuration found"), "\(result.command.output)")
        #expect(result.findings.count { $0["severity"] as? String == "skipped" } == result.findings.count - 1)
    }

    /// Nothing is claimed that was not looked at. The server declares logging, and knows nothing of it.
    @Test func withoutASafeCallNothingIsCalled() async throws {
        let result = try await Self.test([], BridgeRig.fixture)
        #expect(result.command.status == 0 && result.bad == ["tools.annotations", "handshake.capabilities"], "\(result.command.output)")
        #expect(result.texts("handshake.capabilities").contains("logging/setLevel fails: Method not found"), "\(result.command.output)")
        for id in ["calls.cancel", "calls.numbers"] {
            #expect(result.severities(id) == ["skipped"] && result.texts(id).contains("name a safe call with --call"), "\(result.command.output)")
        }
        #expect(result.severities("calls.death") == ["pass"])
    }

    @Test func aWrongCallIsTold() async throws {
        let result = try await Self.test(["--call", "weit"], Self.faulty("none"))
        #expect(result.command.status == 1 && result.texts("calls.tool").contains("it has no tool weit"), "\(result.command.output)")
        #expect(result.command.output.contains("did you mean wait?"))
        let refused = try await Self.test(["--call", "wait=7"], Self.faulty("none"))
        #expect(refused.command.status == 64 && refused.command.errors.contains("is no TOOL='{json}'"), "\(refused.command)")
    }

    @Test func aChangedListFails() async throws {
        try await withFolder { folder in
            let options = ["--baseline", folder + "/tools.json", "--junit", folder + "/report.xml"]
            let first = try await Self.test(options, Self.faulty("none"))
            #expect(first.command.status == 64 && first.command.errors.contains("--write-baseline writes it the first time"), "\(first.command)")
            #expect(try await Self.test(options + ["--write-baseline"], Self.faulty("none")).command.status == 0)
            #expect(try await Self.test(options, Self.faulty("none")).severities("tools.baseline") == ["pass"])
            let changed = try await Self.test(options, Self.faulty("bad_argument"))
            #expect(changed.command.status == 1, "\(changed.command.output)")
            #expect(
                changed.texts("tools.baseline").contains(#"wait /inputSchema/properties {"rule[]":{"type":"string"}} is new"#),
                "\(changed.command.output)")
            let report = try String(contentsOfFile: folder + "/report.xml", encoding: .utf8)
            #expect(report.contains(#"name="tools.baseline wait /inputSchema/properties""#) && report.contains("<failure "), "\(report)")
        }
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalEndsItWithNothingLeft(_ signal: Int32) async throws {
        try await withFolder { folder in
            let mark = "mark-\(UUID().uuidString)"
            let process = try Background(
                [Repository.binary("berth"), "test", "--"] + [BridgeRig.python, Repository.fixture("never_ready.py"), mark], in: folder)
            defer { process.end() }
            func servers() async throws -> String { try await Command.run(["/usr/bin/pgrep", "-f", "never_ready.py \(mark)"]).output }
            // The server and the command that was told of it.
            #expect(try await eventually { try await servers().split(separator: "\n").count >= 2 })
            #expect(await process.end(signal) == 128 + signal)
            #expect(try await servers().isEmpty)
        }
    }

    /// One that ignores the end of its input and TERM, which the test itself waits 10 s for.
    @Test(arguments: [1, 50]) func aStubbornServerHoldsUpNobody(_ times: Int) async throws {
        try await withFolder() { folder in
            let mark = "mark-\(UUID().uuidString)"
            let process = try Background([Repository.binary("berth"), "test", "--"] + Self.faulty("stubborn", mark), in: folder)
            defer { process.end() }
            func servers() async throws -> Int {
                try await Command.run(["/usr/bin/pgrep", "-f", "faulty.py stubborn \(mark)"]).output.split(separator: "\n").count
            }
            #expect(try await eventually { try await servers() >= 2 })
            let start = ContinuousClock.now
            // Signals that come while one is pending are one: the second is sent until it is there.
            var sent = 0
            let hasEnded = await eventually(within: 8) {
                if sent < times { kill(process.pid, SIGINT) }
                sent += 1
                return await process.end(0, within: 0.05) == 130
            }
            #expect(hasEnded, "\(ContinuousClock.now - start)")
            #expect(try await servers() == 0)
        }
    }

    /// A server as it comes from PyPI.
    @Test func aRealServerPasses() async throws {
        let command = [Repository.root + "/.venv-time/bin/mcp-server-time", "--local-timezone", "UTC"]
        let result = try await Self.test(["--call", #"get_current_time={"timezone": "UTC"}"#], command)
        #expect(result.command.status == 0 && result.bad.isEmpty, "\(result.command)")
        #expect(result.severities("handshake.legacy") == ["pass"] && result.severities("calls.numbers") == ["pass"], "\(result.command.output)")
        let server = result.command.lastJSON?["server"] as? [String: Any]
        #expect(server?["tools"] as? Int == 2 && server?["era"] as? String == "modern", "\(result.command.output)")
        #expect((server?["residentBytes"] as? Int ?? 0) > 10 << 20 && (server?["startMilliseconds"] as? Int ?? 0) > 0)
    }
}
