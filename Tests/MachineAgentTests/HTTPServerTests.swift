import Door
import Glibc
import JSONText
import NIOCore
import Sealing
import TestSupport
import Testing
import Wire

/// A machine whose server speaks HTTP: the real agent before real processes.
@Suite(.enabled(if: AgentRig.isPossible)) struct HTTPServerTests {
    private static func with(
        _ how: String = "", file: String = "http_server.py", path: String = "/mcp", port other: Int? = nil, python: String = "python3",
        environment: [String: String] = [:], startTimeout: Int = 60, limits: BootDocument.ChildLimits = .init(),
        body: (AgentRig) async throws -> Void
    ) async throws {
        let port = try FreePort.take()
        try await AgentRig.with(
            command: [python, "-B", AgentRig.fixtures + file, String(other ?? port), how], environment: environment,
            http: .init(port: port, path: path), startTimeout: startTimeout, limits: limits, body: body)
    }

    private func identity(_ rig: AgentRig, session: String, fingerprint: String? = nil) async throws -> JSONValue {
        let answer = try await rig.call("identity", session: session, principal: session, fingerprint: fingerprint)
        return try #require(answer.value, "\(answer.body) \(rig.log)")
    }

    private func stats(_ rig: AgentRig) async throws -> JSONValue { try #require(try await rig.request("GET", "/stats").json) }

    // MARK: Serving

    @Test func oneProcessServesSessionsOfTheirOwn() async throws {
        try await Self.with { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.status == 200 && ready.json?["server"]?["name"] == "http-fixture", "\(ready.body) \(rig.log)")
            for _ in 0..<3 { _ = try await rig.call("count", session: "ann", principal: "ann") }
            #expect(try await rig.call("count", session: "bob", principal: "bob").value == 1)
            #expect(try await rig.call("count", session: "ann", principal: "ann").value == 4)
            let (ann, bob) = (try await identity(rig, session: "ann"), try await identity(rig, session: "bob"))
            #expect(ann["pid"] == bob["pid"] && ann["session"] != bob["session"], "one process, two MCP sessions")
            let stolen = try await rig.call("count", session: "ann", principal: "bob")
            #expect(stolen.status == 403, "nobody calls in another's session")
            let stats = try await stats(rig)
            #expect(stats["transport"] == "http" && stats["children"] == 2 && stats["server"]?["pid"] == ann["pid"], "\(stats)")
            #expect(stats["server"]?["state"] == "ready" && stats["server"]?["starts"] == 1 && stats["server"]?["era"] == "legacy", "\(stats)")
        }
    }

    @Test func itsProcessIsConfinedAsAChildIs() async throws {
        try await Self.with(environment: ["LEVEL": "3"]) { rig in
            let who = try await identity(rig, session: "a")
            #expect(who["uid"]?.intValue == Int(rig.firstUID))
            let variables = try #require(who["environment"])
            #expect(variables["LEVEL"] == "3" && variables["PATH"] == "/usr/local/bin:/usr/bin:/bin", "\(variables)")
            #expect(variables["HOME"]?.stringValue?.hasPrefix("/tmp/") == true && variables["HOME"] == variables["TMPDIR"], "\(variables)")
            // The last is the folder that it listed.
            #expect(who["descriptors"]?.arrayValue?.compactMap(\.intValue) == [0, 1, 2, 3], "nothing of the agent's is open: \(who)")
            await eventually("what it prints is in the log") { rig.log.contains("] listening") }
        }
    }

    @Test func progressAndQuestionsArriveAndALegacySessionIsAskedItself() async throws {
        try await Self.with { rig in
            let streamed = try await rig.call("progress", progress: true)
            #expect(streamed.type == "text/event-stream" && streamed.body.contains(#""progress": 3"#), "\(streamed.body)")
            #expect(streamed.body.contains(#""progressToken": 5"#) && streamed.body.contains("done"), "\(streamed.body)")
            let capabilities = #"{"elicitation":{}}"#
            let asked = try await rig.call("ask", capabilities: capabilities)
            let result = try #require(asked.json?["result"], "\(asked.body)")
            #expect(result["resultType"] == "input_required")
            let key = try #require(result["inputRequests"]?.objectValue?.keys.first)
            let state = try #require(result["requestState"]).text
            let more = #""arguments":{},"requestState":\#(state),"inputResponses":{"\#(key)":{"action":"accept","content":{}}}"#
            let message = AgentRig.message("ask", capabilities: capabilities).replacing(#""arguments":{}"#, with: more)
            #expect(try await rig.request("POST", "/mcp", body: message).text == "accept")
        }
    }

    @Test func aCancelledCallIsCancelledAtTheServer() async throws {
        try await Self.with { rig in
            let call = Task { try await rig.call("wait", session: "ann") }
            await eventually("it is under way") { rig.log.contains("] waits") }
            call.cancel()
            await eventually("the server hears of it") { rig.log.contains("] cancelled ") }
            let next = try await rig.call("count", session: "ann")
            #expect(next.value == 2, "the session goes on: \(next.body)")
        }
    }

    @Test func noPrincipalHasAllSessions() async throws {
        try await Self.with { rig in
            for number in 0..<97 { #expect(try await rig.call("count", session: "s\(number)").value == 1) }
            #expect(try await stats(rig)["children"] == 96, "the longest idle one made room")
            let again = try await rig.call("count", session: "s0")
            #expect(again.value == 1 && again.json?["result"]?["_meta"]?["berth/restarted"] != nil, "and is told: \(again.body)")
            #expect(try await rig.call("count", session: "bob", principal: "bob").value == 1)
            #expect(try await stats(rig)["children"] == 97)
        }
    }

    @Test func noPrincipalHasAllCalls() async throws {
        // The fixture has a thread for each.
        try await Self.with(limits: .init(processes: 400)) { rig in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 { group.addTask { _ = try? await rig.call("wait", session: "s\(number % 8)") } }
                await eventually("the first 192 of them wait") { rig.log.split(separator: "\n").count { $0.hasSuffix("] waits") } == 192 }
                let refused = try await rig.call("count", session: "s0")
                #expect(refused.body.contains("too many calls of one principal"), "\(refused.body)")
                #expect(try await rig.call("count", session: "bob", principal: "bob").value == 1)
                group.cancelAll()
            }
        }
    }

    @Test func whatAServerSaysInItsRefusalHidesItsCredentials() async throws {
        let key = try HMACKey(Secret(Array("fingerprint key of this very test".utf8)))
        let set = try CredentialSet(environment: ["API_KEY": "sesame-open"], headers: [:], files: [:], fingerprintKey: key)
        // It answers from the first moment on; the time is for its interpreter, on a busy host.
        try await Self.with("tells", startTimeout: 8) { rig in
            _ = try await rig.put(set)
            let answer = try await rig.call("count", fingerprint: set.fingerprint)
            #expect(answer.body.contains("does not speak MCP at /mcp") && answer.body.contains("bad key ***"), "\(answer.body)")
            #expect(rig.log.contains("bad key ***") && !rig.log.contains("sesame-open"), "\(rig.log)")
        }
    }

    @Test func credentialsAreTheProcesss() async throws {
        let key = try HMACKey(Secret(Array("fingerprint key of this very test".utf8)))
        let set = try CredentialSet(environment: ["API_KEY": "sesame-open"], headers: [:], files: [:], fingerprintKey: key)
        let other = try CredentialSet(environment: ["API_KEY": "another-word"], headers: [:], files: [:], fingerprintKey: key)
        try await Self.with { rig in
            // The probe of a machine brings none: the first session that does has the server started with them.
            #expect(try await rig.request("GET", "/readyz").status == 200)
            #expect(try await rig.call("count", session: "ann", principal: "ann", fingerprint: set.fingerprint).status == 409)
            for name in ["ann", "bob"] { #expect(try await rig.put(set, session: name, principal: name).status == 200) }
            let ann = try await identity(rig, session: "ann", fingerprint: set.fingerprint)
            #expect(ann["environment"]?["API_KEY"] == "sesame-open")
            #expect(try await identity(rig, session: "bob", fingerprint: set.fingerprint)["pid"] == ann["pid"])
            // The session that it was started for is over; the next one's are as good.
            #expect(try await rig.request("DELETE", "/sessions/ann", principal: "ann").status == 200)
            _ = try await rig.call("crash", session: "bob", principal: "bob", fingerprint: set.fingerprint)
            #expect(try await identity(rig, session: "bob", fingerprint: set.fingerprint)["environment"]?["API_KEY"] == "sesame-open")
            _ = try await rig.put(other, session: "eve", principal: "eve")
            let refused = try await rig.call("count", session: "eve", principal: "eve", fingerprint: other.fingerprint)
            #expect(refused.json?["error"]?["data"]?["error"] == "not_delivered", "\(refused.body)")
            #expect(refused.body.contains("one process serves all"), "\(refused.body)")
        }
    }

    // MARK: Coming up

    @Test func whoCallsBeforeItIsUpWaits() async throws {
        let file = "/tmp/berth-ready-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { unlink(file) }
        try await Self.with("busy", environment: ["READY": file]) { rig in
            async let answer = rig.call("count")
            await eventually("it is asked more than once") { rig.log.contains("] listening") }
            close(open(file, O_CREAT | O_WRONLY, 0o644))
            let first = try await answer
            #expect(first.value == 1, "\(first.body) \(rig.log)")
        }
    }

    @Test func aStartInVainIsNamed() async throws {
        try await Self.with("exits") { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.status == 503 && ready.body.contains("exited with status 3 before it listened on port"), "\(ready.body)")
            let failure = try await stats(rig)["last_failure"]
            #expect(failure?["exit"] == 3 && failure?["stderr"] == "cannot start: no config\n", "\(String(describing: failure))")
            #expect(try await stats(rig)["server"]?["state"] == "crashed")
        }
        try await Self.with("web") { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.body.contains("does not speak MCP at /mcp: the server answered HTTP 404 (HTTP 404 text/html; charset=utf-8)")
                || ready.body.contains("does not speak MCP at /mcp: the server answered HTTP 404 (HTTP 404 text/html)"), "\(ready.body)")
        }
        try await Self.with(path: "/other") { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.body.contains("does not speak MCP at /other: the server answered HTTP 404"), "\(ready.body)")
        }
    }

    @Test func aServerOnAnotherPortIsToldWhere() async throws {
        let other = try FreePort.take()
        try await Self.with(port: other, startTimeout: 8) { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.body.contains("within 8 s, but listens on port \(other): give --http \(other)"), "\(ready.body)")
            let again = try await rig.call("count")
            #expect(again.body.contains("next start in"), "another try would take as long: \(again.body)")
        }
        try await Self.with("silent", startTimeout: 1) { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.body.contains(#"did not listen on port"#) && !ready.body.contains("but listens"), "\(ready.body)")
        }
    }

    // MARK: Dying

    @Test func aDeathInACallIsToldWithTheExitAndTheNextCallStartsAnew() async throws {
        try await Self.with { rig in
            let first = try await identity(rig, session: "ann")
            _ = try await rig.call("count", session: "bob", principal: "bob")
            let crashed = try await rig.call("crash", #"{"status":9}"#, session: "ann")
            #expect(crashed.json?["error"]?["data"]?["error"] == "outcome_unknown", "\(crashed.body)")
            #expect(crashed.json?["error"]?["message"]?.stringValue?.contains("exited with status 9 (incident ") == true, "\(crashed.body)")
            #expect(rig.log.contains("about to crash"))
            let second = try await rig.call("identity", session: "ann")
            #expect(second.value?["pid"] != first["pid"] && second.json?["result"]?["_meta"]?["berth/restarted"] != nil, "\(second.body)")
            // What bob's session knew is lost too, and is told once.
            let bob = try await rig.call("count", session: "bob", principal: "bob")
            #expect(bob.value == 1 && bob.json?["result"]?["_meta"]?["berth/restarted"] != nil, "\(bob.body)")
            let again = try await rig.call("count", session: "bob", principal: "bob")
            #expect(again.value == 2 && again.json?["result"]?["_meta"]?["berth/restarted"] == nil, "\(again.body)")
            #expect(try await stats(rig)["last_failure"]?["exit"] == 9)
        }
    }

    @Test func aKilledServerAnswersEverybodyAtOnce() async throws {
        try await Self.with { rig in
            let pid = try #require(try await identity(rig, session: "ann")["pid"]?.intValue)
            let calls = (0..<3).map { number in Task { try await rig.timed("wait", session: "s\(number)", principal: "p\(number)") } }
            try await eventually("they are under way") {
                let calls = try await rig.request("GET", "/calls").json?["calls"]?.arrayValue ?? []
                return calls.filter { $0["state"] == "delivered" }.count == 3
            }
            await eventually("and at the server") { rig.log.split(separator: "\n").filter { $0.hasSuffix("] waits") }.count == 3 }
            #expect(try await stats(rig)["busy"] == 3)
            let killed = ContinuousClock.now
            kill(pid_t(pid), SIGKILL)
            for call in calls {
                let (answer, time) = try await call.value
                #expect(answer.contains("outcome_unknown") && answer.contains("killed by signal 9"), "\(answer)")
                #expect(time - killed < .seconds(1))
            }
        }
    }

    @Test func whatADeadServerLeftIsRemovedBeforeTheNext() async throws {
        try await Self.with { rig in
            _ = try await rig.call("fork")
            #expect(AgentRig.processes(from: rig.firstUID).count == 2)
            _ = try await rig.call("crash")
            #expect(try await rig.call("count").value == 1)
            #expect(AgentRig.processes(from: rig.firstUID).count == 1, "the one that holds the port of old is gone")
        }
    }

    // MARK: Leaving

    @Test func sessionsAreEndedAtTheServerToo() async throws {
        try await Self.with { rig in
            _ = try await rig.call("count", session: "ann")
            #expect(try await rig.request("DELETE", "/sessions/ann").status == 200)
            await eventually("the server hears of it") { rig.log.contains("] ended ") }
            #expect(try await rig.request("DELETE", "/sessions/ann").status == 404)
            #expect(try await rig.call("count", session: "ann").value == 1)
        }
        try await Self.with(limits: .init(idleSeconds: 1)) { rig in
            _ = try await rig.call("count", session: "ann")
            try await eventually("an idle session ends") { try await stats(rig)["children"] == 0 }
            let next = try await rig.call("count", session: "ann")
            #expect(next.value == 1 && next.json?["result"]?["_meta"]?["berth/restarted"] != nil, "never silently: \(next.body)")
        }
    }

    @Test func aDrainWaitsForItsCalls() async throws {
        try await Self.with { rig in
            _ = try await rig.call("count", session: "bob", principal: "bob")
            let call = Task { try await rig.call("wait", #"{"seconds":1}"#, session: "ann") }
            await eventually("it is under way") { rig.log.contains("] waits") }
            #expect(try await rig.request("POST", "/drain").status == 202)
            #expect(try await rig.call("count", session: "bob", principal: "bob").status == 503)
            let waited = try await call.value
            #expect(waited.text == "waited", "\(waited.body)")
            try await eventually("the server ends after its last call") { try await stats(rig)["server"]?["state"] == "ended" }
            #expect(AgentRig.processes(from: rig.firstUID).isEmpty)
        }
    }

    // MARK: The SDK's servers

    private static let versions = ["2.3.0", "1.30.0"]
    /// The environments' own Python may lie where a server's uid cannot reach it.
    private static let python = "/usr/bin/python3.11"
    private static func packages(_ version: String) -> String { Repository.root + "/.venv-mcp-\(version)/lib/python3.11/site-packages" }
    private static var hasSDKs: Bool { access(python, X_OK) == 0 && versions.allSatisfy { access(packages($0), R_OK) == 0 } }

    @Test(.enabled(if: HTTPServerTests.hasSDKs, "needs Debian's Python 3.11 and .venv-mcp-*"), arguments: versions)
    func hostsTheSDKsServer(version: String) async throws {
        try await Self.with(file: "http_sdk_server.py", python: Self.python, environment: ["PYTHONPATH": Self.packages(version)]) { rig in
            let first = try await rig.call("pid", session: "ann")
            #expect(first.text != nil, "\(first.body) \(rig.log)")
            #expect(try await rig.call("echo", #"{"text":"hi"}"#, session: "bob", principal: "bob").text == "hi")
            #expect(try await rig.call("steps", session: "ann", progress: true).body.contains("done"))
            let crashed = try await rig.call("crash", session: "ann")
            #expect(crashed.body.contains("outcome_unknown") && crashed.body.contains("exited with status 7"), "\(crashed.body)")
            let next = try await rig.call("pid", session: "ann")
            #expect(next.text != nil && next.text != first.text, "\(next.body) \(rig.log)")
        }
    }
}
