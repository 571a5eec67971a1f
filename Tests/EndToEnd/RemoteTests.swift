import Foundation
import TestSupport
import Testing

/// What remote servers do that no SDK's server does on demand; each scenario is a class of `Fixtures/remote.py`.
struct RemoteTests {
    // MARK: Sessions

    @Test(.tags(.failure24)) func aLostSessionIsReplacedUnderTheCallThatFoundOut() async throws {
        try await RemoteRig.run("legacy") { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "forget"), RemoteRig.call(2, "echo"), RemoteRig.call(3, "echo")])
            #expect((1...3).map { talk.text($0) } == ["s1", "s2", "s2"] && (1...3).map(talk.tellsOfLoss) == [false, true, false], "\(talk)")
            let start = ["initialize", "notifications/initialized"]
            let calls = remote.methods.filter { $0 != "GET" }
            #expect(calls == start + ["tools/call", "tools/call"] + start + ["tools/call", "tools/call", "DELETE"], "\(calls)")
            #expect(remote.requests.first { $0["method"] as? String == "initialize" && $0["mcp-session-id"] is String } == nil)
        }
    }

    @Test func aCallThatNoSessionKnowsIsToldAsNotDelivered() async throws {
        try await RemoteRig.run("amnesiac") { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "echo")])
            #expect(talk.text(1) == "not_delivered", "\(talk)")
            #expect(remote.methods.count { $0 == "tools/call" } == 2)
        }
    }

    /// All of them are refused for the same reason, so none of them has run.
    @Test func callsBesideTheOneThatFoundOutAreSentAgainToo() async throws {
        try await RemoteRig.run("gathering") { remote in
            let calls = (1...4).map { "&" + RemoteRig.call($0, "together") }
            let talk = try await remote.connect([RemoteRig.call(9, "forget")] + calls)
            #expect((1...4).map { talk.text($0) } == Array(repeating: "s2", count: 4), "\(talk)")
        }
    }

    /// A server of the handshake revisions hears only in its handshake what its client can be asked.
    @Test func aSessionThatIsTooNarrowIsEndedForAWiderOne() async throws {
        try await RemoteRig.run("legacy") { remote in
            let calls = [(1, "{}"), (2, #"{"elicitation":{}}"#)].map { id, capabilities in
                #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"#
                    + #""2026-07-28","io.modelcontextprotocol/clientCapabilities":\#(capabilities)}}}"#
            }
            let talk = try await remote.connect(calls, isModern: true)
            #expect(talk.text(1) == "s1" && talk.text(2) == "s2" && talk.tellsOfLoss(2), "\(talk)")
            let ended = remote.requests.filter { $0["verb"] as? String == "DELETE" }.map { $0["mcp-session-id"] as? String }
            #expect(ended == ["s1", "s2"])
            #expect(remote.requests.allSatisfy { $0["method"] as? String != "initialize" || $0["mcp-session-id"] as? String == nil })
        }
    }

    /// Its session is gone, and its answer comes all the same.
    @Test func anAnswerThatWasOnItsWayIsNotLostWithItsSession() async throws {
        try await RemoteRig.run("legacy") { remote in
            let talk = try await remote.connect(["&" + RemoteRig.call(1, "afterwards"), RemoteRig.call(2, "forget_afterwards"), RemoteRig.call(3, "echo")])
            #expect((1...3).map { talk.text($0) } == ["s1", "s1", "s2"] && !talk.tellsOfLoss(1), "\(talk)")
            #expect(remote.methods.count { $0 == "tools/call" } == 4)
        }
    }

    // MARK: Streams

    /// As often as the server likes: each stream says that it is still at it.
    @Test func aCallsStreamThatTheServerClosesIsTakenUp() async throws {
        try await RemoteRig.run("polling") { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "slow"), RemoteRig.call(2, "lost")])
            #expect(talk.text(1) == "told after call-12" && talk.text(2) == "outcome_unknown", "\(talk)")
            let taken = remote.requests.compactMap { $0["last-event-id"] as? String }.filter { $0.hasPrefix("call") }
            #expect(taken == (1...12).map { "call-\($0)" } + ["call-1"], "\(taken)")
            // It was delivered: it is not sent again, in no other session.
            #expect(remote.methods.count { $0 == "tools/call" } == 2)
        }
    }

    /// The server may know the session and not the event.
    @Test func aStreamThatCannotBeTakenUpEndsItsCallAlone() async throws {
        try await RemoteRig.run("polling") { remote in
            let talk = try await remote.connect(["&" + RemoteRig.call(1, "late"), RemoteRig.call(2, "lost"), RemoteRig.call(3, "echo")])
            #expect(talk.text(2) == "outcome_unknown" && talk.text(1) == "s1" && talk.text(3) == "s1", "\(talk)")
            #expect(remote.methods.count { $0 == "initialize" } == 1)
        }
    }

    @Test func aStreamThatOutlivesItsAnswerIsClosed() async throws {
        try await RemoteRig.run("lingering") { remote in
            let talk = try await remote.connect((1...5).map { RemoteRig.call($0, "echo") } + [RemoteRig.call(6, "quiet")])
            #expect((1...5).allSatisfy { talk.text($0) == "open" } && talk.text(6) == "closed", "\(talk)")
        }
    }

    @Test func aStreamThatBreaksOffAfterItsAnswerIsNotTakenUp() async throws {
        try await RemoteRig.run("lingering") { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "cut"), RemoteRig.call(2, "echo"), RemoteRig.call(3, "quiet")])
            #expect(talk.text(1) == "cut" && talk.text(3) == "closed", "\(talk)")
            #expect(remote.requests.allSatisfy { !($0["last-event-id"] is String) })
        }
    }

    @Test func theSessionsOwnStreamIsOpenedAgainWhereItEnded() async throws {
        try await RemoteRig.run("polling") { remote in
            let talk = try await remote.connect(["~" + #"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#])
            #expect(talk.messages.contains { $0["method"] as? String == "notifications/tools/list_changed" }, "\(talk)")
            #expect(remote.requests.compactMap { $0["last-event-id"] as? String } == (0..<12).map { "own-\($0)" })
        }
    }

    // MARK: Eras

    @Test func aServerThatListsOtherVersionsIsSpokenToInThose() async throws {
        try await RemoteRig.run("ladder") { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "echo")])
            #expect(talk.text(1) == "s1", "\(talk)")
        }
    }

    @Test(arguments: [("upgraded", ["s1", ""]), ("downgraded", ["", "s1"])])
    func aServerThatChangesItsEraIsFollowed(_ scenario: String, _ says: [String]) async throws {
        try await RemoteRig.run(scenario) { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "echo"), RemoteRig.call(2, "echo")])
            #expect([talk.text(1), talk.text(2)] == says, "\(talk)")
        }
    }

    @Test func argumentsThatAreWantedInHeadersAreLearntFromTheRefusal() async throws {
        try await RemoteRig.run("mirroring") { remote in
            let line = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"region","arguments":{"where":"é"}}}"#
            let talk = try await remote.connect([line])
            #expect(talk.text(1) == "=?base64?w6k=?=", "\(talk)")
            #expect(remote.methods.filter { $0.hasPrefix("tools") } == ["tools/call", "tools/list", "tools/call"])
        }
    }

    @Test func aCallThatIsCancelledMeanwhileIsNotSentAgain() async throws {
        try await RemoteRig.run("preparing") { remote in
            let cancel = #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#
            let talk = try await remote.connect(
                ["&" + RemoteRig.call(1, "region"), RemoteRig.call(2, "listed"), cancel, RemoteRig.call(3, "release"), RemoteRig.call(4, "last")])
            #expect(talk.text(3) == "release" && talk.text(4) == "last" && talk.answer(1) == nil, "\(talk)")
            #expect(remote.requests.count { ($0["params"] as? [String: Any])?["name"] as? String == "region" } == 1)
        }
    }

    /// Two rounds whose states come back as they were.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: Repository.python(mcp: "2.3.0")), "needs the SDKs"), arguments: ConnectTests.clients)
    func roundsOfQuestionsReachClientsOfBothEras(_ sdk: String, _ mode: String, _ version: String) async throws {
        try await RemoteRig.run("modern") { remote in
            let result = try await Command.run(
                [Repository.python(mcp: sdk), Repository.fixture("stdio_client.py"), mode, Repository.binary("berth"), "connect", remote.url],
                seconds: 120)
            let seen = try #require(result.lastJSON, "\(result)")
            #expect(seen["version"] as? String == version && seen["asked"] as? [String] == ["who?", "sure?"], "\(seen)")
            #expect((seen["text"] as? [String: String])?["ask"] == "state 2 Ann accept", "\(seen)")
        }
    }

    // MARK: Redirections

    @Test func aMoveWithinTheOriginIsFollowed() async throws {
        try await RemoteRig.run("moved") { remote in
            let called = try await remote.berth(["call", remote.url, "echo", #"{"text":"x"}"#, "--token-file", remote.folder + "/token"])
            #expect(called.output == "x\n", "\(called)")
            let last = try #require(remote.requests.last)
            #expect(last["path"] as? String == "/here/there?k=1" && last["authorization"] as? String == "Bearer " + SecureRemoteTests.token)
        }
    }

    @Test(arguments: [("/away", "which is another origin; give that URL"), ("/circle", "moved the request more than 5 times")])
    func otherMovesAreNot(_ path: String, _ says: String) async throws {
        try await RemoteRig.run("moved") { remote in
            let url = remote.url.replacingOccurrences(of: "/mcp", with: path)
            let refused = try await remote.berth(["call", url, "echo", "--token-file", remote.folder + "/token"])
            #expect(refused.status == 1 && refused.errors.contains(says), "\(refused)")
            #expect(remote.requests.allSatisfy { $0["path"] as? String == path })
        }
    }

    // MARK: Sizes

    @Test func anEndlessAnswerIsBrokenOffAndALongMessageFailsItsCall() async throws {
        try await RemoteRig.run("huge") { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "endless"), RemoteRig.call(2, "long"), RemoteRig.call(3, "fine")])
            #expect(talk.text(1) == "outcome_unknown" && talk.text(3) == "fine", "\(talk)")
            #expect(talk.text(2)?.contains("too large") == true, "\(talk)")
            #expect(await eventually { remote.output.contains("sent ") })
            let sent = remote.output.split(separator: "\n").first { $0.hasPrefix("sent ") }.flatMap { Int($0.split(separator: " ")[1]) }
            #expect(sent ?? 1_024 < 128)
        }
    }

    @Test func aLineThatIsTooLongIsRefusedByItsIDAndTheNextOneIsServed() async throws {
        try await RemoteRig.run("legacy") { remote in
            let talk = try await remote.connect(["!long \(17 << 20)", RemoteRig.call(1, "echo")])
            #expect(talk.text(99)?.contains("a line is longer than") == true && talk.text(1) == "s1", "\(talk)")
        }
    }

    // MARK: Pages

    @Test func allPagesOfAListAreShown() async throws {
        try await RemoteRig.run("pages") { remote in
            let plain = try await remote.berth(["tools", remote.url])
            #expect(plain.output == "t0\nt1\nt2\n", "\(plain)")
            let json = try await remote.berth(["tools", remote.url, "--json"])
            #expect(json.output.components(separatedBy: #""n":1.5"#).count == 4 && !json.output.contains("nextCursor"), "\(json)")
            let endless = try await remote.berth(["prompts", remote.url])
            #expect(endless.status == 1 && endless.errors.contains("prompts/list does not end: ") && remote.methods.count < 12, "\(endless)")
        }
    }

    // MARK: Ends

    /// The server answers neither the call nor the end of its session.
    @Test(arguments: [("!TERM", 4.0), ("!INT", 4.0), ("", 9.0)])
    func everythingEndsInTime(_ how: String, _ seconds: Double) async throws {
        try await RemoteRig.run("silent") { remote in
            let talk = try await remote.connect(["~" + RemoteRig.call(1, "x")] + (how.isEmpty ? [] : [how]))
            #expect(talk.end.status == 0 && talk.end.seconds < seconds, "\(talk)")
            #expect(remote.methods.contains("DELETE"))
        }
    }

    @Test func aClientThatReadsNothingCannotHoldIt() async throws {
        try await RemoteRig.run("legacy") { remote in
            let talk = try await remote.connect(["!deaf", "&" + RemoteRig.call(1, "big"), "!full", "!TERM"])
            #expect(talk.end.status == 0 && talk.end.seconds < 6, "\(talk)")
        }
    }

    @Test func aClientThatIsGoneEndsIt() async throws {
        try await RemoteRig.run("legacy") { remote in
            let talk = try await remote.connect(["!gone", "&" + RemoteRig.call(1, "echo"), "!end"])
            #expect(talk.end.status == 0 && talk.end.seconds < 6 && remote.methods.contains("DELETE"), "\(talk)")
        }
    }

    @Test func aGreetingThatNeverComesCanBeInterrupted() async throws {
        try await RemoteRig.run("mute") { remote in
            let inspect = try Background([Repository.binary("berth"), "inspect", remote.url], in: remote.folder)
            defer { inspect.end() }
            #expect(await eventually { !remote.requests.isEmpty })
            #expect(await inspect.end(SIGINT, within: 5) == 130)
        }
    }
}
