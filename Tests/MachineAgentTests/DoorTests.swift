import Door
import Foundation
import Glibc
import JSONText
import NIOCore
import Sealing
import Testing
import TestSupport
import Wire

@Suite(.enabled(if: AgentRig.isPossible)) struct DoorTests {
    @Test func refusesWithoutReadingABody() async throws {
        try await AgentRig.with { rig in
            let good = try rig.token()
            let other = try TokenSender().minter(
                for: try DoorKeys(root: AppRoot(secret: Secret(try randomBytes(32))), machine: "0123456789abcd", boot: "01JZZZZZZZZZZZZZZZZZZZZZZZ"),
                org: "org", issuer: "gateway")
            let flipped = String(good.dropLast(2)) + (good.hasSuffix("AA") ? "BB" : "AA")
            let name = HostedToken.headerName
            for (headers, reason) in [
                ("", "missing"), ("\(name): x\r\n", "malformed"), ("\(name): \(good)\r\n\(name): \(good)\r\n", "malformed"),
                ("\(name): \(flipped)\r\n", "bad_signature"),
                ("\(name): \(try other.mint(principal: "ann", session: "s").token)\r\n", "unknown_key"),
            ] {
                // The body is announced and never sent: an answer proves that nobody waited for it.
                let answer = try await rig.raw("POST /mcp HTTP/1.1\r\nhost: door\r\n\(headers)content-length: 100000\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 401 "), "\(reason)")
                #expect(answer.hasSuffix(#"{"error":"hosted_auth","reason":"\#(reason)"}"#), "\(reason): \(answer)")
            }
            #expect(try await rig.request("GET", "/healthz", token: good).status == 200)
            let again = try await rig.request("GET", "/healthz", token: good)
            #expect(again.status == 401 && again.body.contains("replayed"))
            let stats = try await rig.request("GET", "/stats").json
            #expect(stats?["refusals"]?["malformed"] == 2)
            #expect(stats?["children"] == 0)
        }
    }

    @Test func routesAndLimits() async throws {
        try await AgentRig.with { rig in
            #expect(try await rig.request("GET", "/nothing").status == 404)
            #expect(try await rig.request("GET", "/mcp").status == 405)
            #expect(try await rig.request("POST", "/mcp", body: "{").status == 400)
            #expect(try await rig.request("PUT", "/credentials", body: "nonsense").json?["error"] == "bad_credentials")
            let token = try rig.token()
            let chunked = "POST /mcp HTTP/1.1\r\nhost: d\r\n\(HostedToken.headerName): \(token)\r\ntransfer-encoding: chunked\r\n\r\n"
            #expect(try await rig.raw(chunked).hasPrefix("HTTP/1.1 411 "))
            #expect(try await rig.raw("POST /mcp HTTP/1.1\r\nhost: d\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test func answersJSONOrAStream() async throws {
        try await AgentRig.with { rig in
            let plain = try await rig.call("echo", #"{"text":"hi"}"#, progress: true)
            #expect(plain.status == 200 && plain.type == "application/json")
            #expect(plain.text == "hi" && plain.json?["id"] == "c-1")

            let streamed = try await rig.call("progress", #"{"steps":3}"#, progress: true)
            #expect(streamed.type == "text/event-stream")
            var reader = SSEReader()
            reader.feed(ByteBuffer(string: streamed.body))
            var events: [JSONValue] = []
            while let event = try reader.next() { events.append(try JSONValue(parsing: Array(event.data.readableBytesView))) }
            #expect(events.count == 4)
            #expect(events.prefix(3).allSatisfy { $0["params"]?["progressToken"] == 5 })
            #expect(events.last?["id"] == "c-1" && events.last?["result"]?["content"]?[0]?["text"] == "done")
        }
    }

    @Test func readinessSessionsAndCalls() async throws {
        try await AgentRig.with { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.status == 200 && ready.json?["server"]?["name"] == "fixture")
            _ = try await rig.call("echo", session: "a", principal: "ann")
            let crashed = try await rig.call("crash", #"{"status":9}"#, session: "b", principal: "bob")
            #expect(crashed.json?["error"]?["code"] == 1002)
            #expect(crashed.json?["error"]?["data"]?["error"] == "outcome_unknown")
            #expect(crashed.json?["error"]?["message"]?.stringValue?.contains("status 9") == true)

            let calls = try await rig.request("GET", "/calls").json?["calls"]?.arrayValue ?? []
            #expect(calls.map { $0["state"]?.stringValue } == ["answered", "failed"])
            #expect(calls.map { $0["tool"]?.stringValue } == ["echo", "crash"])
            #expect(calls.map { $0["principal"]?.stringValue } == ["ann", "bob"])
            let sessions = try await rig.request("GET", "/sessions").json?["sessions"]?.arrayValue ?? []
            #expect(Set(sessions.compactMap { $0["session"]?.stringValue }) == ["a", "b"])
            let failure = try await rig.request("GET", "/stats").json?["last_failure"]
            #expect(failure?["exit"] == 9 && failure?["stderr"]?.stringValue?.contains("about to crash") == true)
        }
    }

    @Test func aCallIsDeliveredWhenTheServerHasIt() async throws {
        func last(_ rig: AgentRig) async throws -> JSONValue? { try await rig.request("GET", "/calls").json?["calls"]?.arrayValue?.last }
        // Its process runs, and answers no handshake: nothing can have run.
        try await AgentRig.with("never_ready.py") { rig in
            let task = Task { try await rig.call("echo", session: "a") }
            try await eventually("the call waits") { try await last(rig)?["state"] == "waiting" }
            task.cancel()
            try await eventually("and is given up") { try await last(rig)?["state"] == "not_delivered" }
        }
        try await AgentRig.with { rig in
            let task = Task { try await rig.call("wait", #"{"seconds":60}"#, session: "a") }
            try await eventually("the server has it") { try await last(rig)?["state"] == "delivered" }
            let call = try await last(rig)
            #expect(call?["session"] == "a" && call?["principal"] == "ann" && call?["method"] == "tools/call" && call?["tool"] == "wait")
            task.cancel()
            try await eventually("its caller has gone") { try await last(rig)?["state"] == "cancelled" }
        }
    }

    @Test func aSpareWaitsForTheNextSession() async throws {
        try await AgentRig.with(limits: BootDocument.ChildLimits(spareBelowBytes: 1 << 30)) { rig in
            func spare() async throws -> Int? { try await rig.request("GET", "/stats").json?["spare"]?.intValue }
            // What `connector add` does: readiness, then a list of the tools. The child of both is the first session's, unless that comes
            // later than five seconds after them: then one that nobody spoke to has taken its place. What took as long is done again.
            var first: Int?
            let list = #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#
                + #""io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}}}"#
            for attempt in 1...20 {
                let begun = ContinuousClock.now
                #expect(try await rig.request("GET", "/readyz").status == 200)
                let warmed = try await spare()
                let listed = try await rig.request("POST", "/mcp", session: "probe-1", principal: "berth:probe", body: list)
                #expect(listed.json?["result"]?["tools"]?.arrayValue?.isEmpty == false)
                let asked = try await spare()
                // Whatever else the prober asks is a session's.
                let pid = try await rig.call("identity", session: "probe-2", principal: "berth:probe").value?["pid"]?.intValue
                let isInTime = ContinuousClock.now - begun < .seconds(4)
                if isInTime { #expect(pid != nil && warmed == pid && asked == pid) }
                #expect(try await rig.request("DELETE", "/sessions/probe-2", session: "probe-2", principal: "berth:probe").status == 200)
                first = pid
                if isInTime { break }
                #expect(attempt < 20, "this host is too slow to tell")
            }
            try await eventually("the next one waits") { try await spare().map { $0 != first } == true }
            let next = try #require(try await spare())
            let identity = try #require(try await rig.call("identity", session: "real").value)
            // Under a uid that nobody had before.
            #expect(identity["pid"]?.intValue == next && identity["uid"]?.intValue ?? 0 > Int(rig.firstUID))
            try await eventually("and another") { try await spare().map { $0 != next } == true }
            let third = try #require(try await spare())
            #expect(exists(third))
            // A session with credentials gets a child of its own, and ends it.
            let set = try CredentialSet(environment: ["A": "value-of-a"], fingerprintKey: try HMACKey(Secret(try randomBytes(32))))
            _ = try await rig.put(set, session: "secret")
            let other = try await rig.call("identity", session: "secret", fingerprint: set.fingerprint).value
            #expect(other?["pid"]?.intValue != third && other?["environment"]?["A"] == "value-of-a")
            await eventually("it is let go") { !exists(third) }
            #expect(try await spare() == nil)
        }
    }

    @Test func aSpareGivesWayToWhoNeedsItsMemory() async throws {
        // A server of the fixture's has some 10 MiB of its own. Looked at every two seconds.
        let limits = BootDocument.ChildLimits(idleSeconds: 8, spareBelowBytes: 96 << 20)
        try await AgentRig.with(limits: limits) { rig in
            func spare() async throws -> Int? { try await rig.request("GET", "/stats").json?["spare"]?.intValue }
            _ = try await rig.call("echo", session: "a")
            // Busy until the end, so that it has its memory until then.
            let busy = Task { try await rig.call("hang", session: "a") }
            defer { busy.cancel() }
            var sessions = 0
            var isDue = ContinuousClock.now + .seconds(60)
            try await eventually("one waits") {
                if try await spare() != nil { return true }
                // One that idled away while this host did something else is followed by another with the next session.
                guard ContinuousClock.now >= isDue else { return false }
                isDue = .now + .seconds(60)
                sessions += 1
                _ = try await rig.call("echo", session: "more \(sessions)")
                return false
            }
            #expect(try await rig.call("grow", #"{"megabytes":96}"#, session: "a").text == "grown")
            try await eventually("it is let go") { try await spare() == nil }
            // And none is started into memory that is not there, for longer than it would take.
            #expect(try await rig.call("wait", #"{"seconds":1}"#, session: "b").text == "waited")
            #expect(try await spare() == nil)
        }
    }

    @Test func aSessionBelongsToOnePrincipal() async throws {
        try await AgentRig.with { rig in
            #expect(try await rig.call("echo", principal: "ann").status == 200)
            let stolen = try await rig.call("echo", principal: "bob")
            #expect(stolen.status == 403 && stolen.json?["error"] == "session_principal")
        }
    }

    @Test func noPrincipalTakesTheServerFromOthers() async throws {
        try await AgentRig.with(limits: BootDocument.ChildLimits(maximumChildren: 3)) { rig in
            let pid = try await rig.call("identity", session: "b", principal: "bob").value?["pid"]
            var busy: [Task<AgentRig.Answer, any Error>] = []
            for number in 0..<2 {
                _ = try await rig.call("echo", session: "a\(number)")
                busy.append(Task { try await rig.call("hang", session: "a\(number)") })
                try await eventually("it runs") {
                    try await rig.request("GET", "/sessions").json?["sessions"]?.arrayValue?.contains {
                        $0["session"] == .string("a\(number)") && $0["calls_in_flight"] == 1
                    } == true
                }
            }
            // The third waits; who was there has its server and its state.
            let third = Task { try await rig.call("echo", session: "a2") }
            try await eventually("it waits") { try await rig.request("GET", "/sessions").json?["sessions"]?.arrayValue?.count == 4 }
            let again = try await rig.call("identity", session: "b", principal: "bob")
            #expect(pid != nil && again.value?["pid"] == pid && again.json?["result"]?["_meta"] == nil)
            // One that never was there takes the place of an idle one, which hears of it.
            third.cancel()
            try await eventually("it waits no longer") { try await rig.request("GET", "/sessions").json?["sessions"]?.arrayValue?.count == 3 }
            // The first is idle longest.
            for (number, task) in busy.enumerated() {
                task.cancel()
                try await eventually("it is idle") {
                    try await rig.request("GET", "/sessions").json?["sessions"]?.arrayValue?.contains {
                        $0["session"] == .string("a\(number)") && $0["calls_in_flight"] == 0
                    } == true
                }
            }
            for session in ["c", "d"] { #expect(try await rig.call("echo", session: session, principal: "cid").status == 200) }
            #expect(try await rig.call("echo", session: "a0").json?["result"]?["_meta"]?["berth/restarted"] == true)
        }
    }

    @Test func closingTheConnectionCancels() async throws {
        try await AgentRig.with { rig in
            _ = try await rig.call("echo")
            let task = Task { try await rig.call("hang") }
            try await eventually("the call is delivered") {
                try await rig.request("GET", "/calls").json?["calls"]?.arrayValue?.last?["tool"] == "hang"
            }
            task.cancel()
            try await eventually("the child hears of it") { try await rig.call("cancellations").value?.arrayValue?.count == 1 }
            let calls = try await rig.request("GET", "/calls").json?["calls"]?.arrayValue ?? []
            #expect(calls.contains { $0["tool"] == "hang" && $0["state"] == "cancelled" })
        }
    }

    @Test func credentialsAreAskedForAndReachTheChildAlone() async throws {
        try await AgentRig.with("needs_token.py") { rig in
            let key = try HMACKey(Secret(try randomBytes(32)))
            let set = try CredentialSet(
                environment: ["API_TOKEN": "very-secret-value"], files: ["key.json": "file-content"], fingerprintKey: key)
            let refused = try await rig.call("token", fingerprint: set.fingerprint)
            #expect(refused.status == 409 && refused.json?["error"] == "credentials_needed")
            let put = try await rig.put(set)
            #expect(put.status == 200 && put.json?["fingerprint"] == .string(set.fingerprint))
            #expect(try await rig.call("token", fingerprint: set.fingerprint).text == "very-secret-value")
            let identity = try await rig.call("identity", fingerprint: set.fingerprint).value
            #expect(identity?["argv"]?.arrayValue?.contains { $0.stringValue?.contains("secret") == true } == false)
            let home = identity?["environment"]?["HOME"]?.stringValue ?? ""
            #expect(try await rig.call("read_file", #"{"path":"\#(home)/key.json"}"#, fingerprint: set.fingerprint).text == "file-content")
            // The same session without them is another child, and another session does not have them.
            #expect(try await rig.call("token").text == "(none)")
            #expect(try await rig.call("token", session: "t", fingerprint: set.fingerprint).status == 409)
            await eventually("the server's greeting") { rig.log.contains("starting with token ***") }
            #expect(!rig.log.contains("very-secret"))
            // Gone with the child that needed them.
            try await eventually("wiped") { try await rig.request("GET", "/stats").json?["credentials"] == 0 }
        }
    }

    @Test func drainRefusesNewCalls() async throws {
        try await AgentRig.with { rig in
            _ = try await rig.call("echo")
            let running = Task { try await rig.call("wait", #"{"seconds":0.5}"#) }
            try await eventually("it runs") { try await rig.request("GET", "/calls").json?["calls"]?.arrayValue?.count == 2 }
            #expect(try await rig.request("POST", "/drain").status == 202)
            let refused = try await rig.call("echo")
            #expect(refused.status == 503 && refused.json?["error"] == "draining")
            #expect(try await running.value.text == "waited")
            try await eventually("drained") { try await rig.request("GET", "/stats").json?["children"] == 0 }
        }
    }

    /// The gateway has no row for it.
    @Test func aWaitIsNoCall() async throws {
        try await AgentRig.with { rig in
            _ = try await rig.call("echo")
            let wait = AgentRig.message("echo").replacingOccurrences(
                of: #""arguments":{}"#, with: #""arguments":{},"requestState":"x","inputResponses":{"berth/wait":{}}"#)
            let answer = try await rig.request("POST", "/mcp", body: wait)
            #expect(answer.json?["error"] != nil, "\(answer)")
            #expect(try await rig.request("GET", "/calls").json?["calls"]?.arrayValue?.count == 1)
        }
    }

    @Test func aServerOfBothErasIsSpokenToInTheCallersClients() async throws {
        try await AgentRig.with("dual.py") { rig in
            for (session, headers, opened) in [("a", [(DoorHeaders.clientEra, "legacy")], "initialize"), ("b", [], "server/discover")] {
                let answer = try await rig.request("POST", "/mcp", session: session, headers: headers, body: AgentRig.message("heard"))
                #expect(answer.value?[0]?.stringValue == opened, "\(answer)")
            }
        }
    }

    @Test func readinessCanBeAskedForASessionsCredentials() async throws {
        try await AgentRig.with("needs_token.py") { rig in
            let set = try CredentialSet(environment: ["API_TOKEN": "value-of-token"], fingerprintKey: try HMACKey(Secret(try randomBytes(32))))
            let headers = [(DoorHeaders.credentials, set.fingerprint)]
            #expect(try await rig.request("GET", "/readyz", headers: headers).status == 409)
            _ = try await rig.put(set)
            #expect(try await rig.request("GET", "/readyz", headers: headers).status == 200)
            let sessions = try await rig.request("GET", "/sessions").json?["sessions"]?.arrayValue
            #expect(sessions?.count == 1)
        }
        try await AgentRig.with("fails_to_start.py") { rig in
            let ready = try await rig.request("GET", "/readyz")
            #expect(ready.status == 503 && ready.json?["message"] == "the server exited with status 78")
            let failure = try await rig.request("GET", "/stats").json?["last_failure"]
            #expect(failure?["stderr"]?.stringValue?.contains("no configuration found") == true)
        }
    }

    @Test func aLogThatNobodyReadsStopsNothing() async throws {
        try await AgentRig.with(stuckLog: true) { rig in
            let flooded = try await rig.call("flood")
            #expect(flooded.text == "flooded")
            let alive = try await rig.call("echo", #"{"text":"alive"}"#)
            #expect(alive.text == "alive")
        }
    }
}
