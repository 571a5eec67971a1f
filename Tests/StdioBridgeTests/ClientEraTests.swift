import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

/// A server of both eras is spoken to in its client's.
struct ClientEraTests {
    private static let able = #"{"elicitation":{"form":{}}}"#

    @Test func eachClientHasItsOwn() async throws {
        try await Rig.with("dual.py") { rig in
            // The one is asked by the server, which could not ask the other.
            let asked = await rig.start("ask", session: "old", capabilities: Self.able, client: .legacy).reply()
            guard case .result(let result) = asked else {
                Issue.record("\(asked)")
                return
            }
            #expect(result["resultType"]?.stringValue == "input_required", "\(asked)")
            let other = await rig.start("ask", session: "new", capabilities: Self.able).reply()
            #expect(other.text?.contains("no back-channel") == true, "\(other)")
            let eras = Dictionary(uniqueKeysWithValues: await rig.reports().map { ($0.session, $0.era) })
            #expect(eras == ["old": "legacy", "new": "modern"])
            // Neither verdict is the other's.
            _ = await rig.start("echo", session: "old2", capabilities: Self.able, client: .legacy).reply()
            _ = await rig.start("echo", session: "new2").reply()
            let later = Dictionary(uniqueKeysWithValues: await rig.reports().map { ($0.session, $0.era) })
            #expect(later["old2"] == "legacy" && later["new2"] == "modern")
        }
    }

    @Test func aServerWithoutTheHandshakeIsAskedForItOnce() async throws {
        try await Rig.with("modern.py") { rig in
            #expect(await rig.start("echo", #"{"text":"a"}"#, session: "a", client: .legacy).reply().text == "a")
            #expect(await rig.on { $0.refusesHandshake } == true)
            #expect(await rig.start("echo", #"{"text":"b"}"#, session: "b", client: .legacy).reply().text == "b")
            #expect(await rig.reports().map(\.era) == ["modern", "modern"])
        }
    }

    /// Whoever ends a process in its handshake, or over its probe, changes no other client's era.
    @Test(arguments: [Era.legacy, .modern]) func aProcessThatWasEndedSaysNothingOfItsServer(client: Era) async throws {
        try await withFolder { folder in
            try await Rig.with("dies_once.py", arguments: [folder + "/mark"]) { rig in
                // Its own client may hear of it.
                _ = await rig.start("echo", #"{"text":"a"}"#, session: "a", client: client).reply()
                #expect(await rig.start("echo", #"{"text":"b"}"#, session: "b", client: client).reply().text == "b")
                #expect(await rig.reports().first { $0.session == "b" }?.era == client.rawValue)
            }
        }
    }

    /// A modern server may do anything to `initialize`.
    @Test(arguments: ["exit", "silent"]) func aServerThatFailsAtTheHandshakeIsServedAsItWasProbed(how: String) async throws {
        try await Rig.with("modern_only.py", arguments: [how], limits: { $0.start = .seconds(16) }) { rig in
            _ = try #require(try await rig.warm())
            let reply = await rig.start("echo", #"{"text":"a"}"#, session: "a", capabilities: Self.able, client: .legacy).reply()
            #expect(reply.text == "a")
            // Somebody may have ended that process. What two do is the server's way.
            #expect(await rig.on { $0.refusesHandshake } == false)
            #expect(await rig.start("echo", #"{"text":"b"}"#, session: "b", capabilities: Self.able, client: .legacy).reply().text == "b")
            #expect(await rig.on { $0.refusesHandshake } == true)
            #expect(await rig.on { $0.lastFailure == nil } == true)
        }
    }

    /// Its package may have been changed under a bridge that runs.
    @Test(arguments: ["fixture.py", "uninitialized.py", "dies_on_probe.py"])
    func aServerThatIsNoLongerModernIsServedAtOnce(now: String) async throws {
        try await withFolder { folder in
            try await Rig.with("changes.py", arguments: [folder + "/mark", "modern.py", now]) { rig in
                for session in ["a", "b", "c"] { #expect(await rig.call("echo", #"{"text":"x"}"#, session: session).text == "x") }
                let eras = Dictionary(uniqueKeysWithValues: await rig.reports().map { ($0.session, $0.era) })
                #expect(eras == ["a": "modern", "b": "legacy", "c": "legacy"])
                #expect(await rig.on { $0.lastFailure == nil } == true)
            }
        }
    }

    /// What is known of a legacy server spares it the probe, until one fails without.
    @Test(arguments: [("modern.py", "the server refused initialize: -32601 "), ("modern_only.py exit", "the server exited with status 3")])
    func aServerThatIsNoLongerLegacyIsProbedAnew(now: String, why: String) async throws {
        try await withFolder { folder in
            let later = now.split(separator: " ").map(String.init)
            try await Rig.with("changes.py", arguments: [folder + "/mark", "fixture.py"] + later) { rig in
                #expect(await rig.call("echo", #"{"text":"a"}"#, session: "a").text == "a")
                let told = await rig.call("echo", session: "b").failure
                #expect(told?.kind == .notDelivered && told?.reason.hasPrefix(why) == true, "\(told as Any)")
                // Who comes before its end is told the same.
                await eventually("its process is gone") { await rig.reports().first { $0.session == "b" }?.pid == nil }
                for session in ["b", "c"] { #expect(await rig.call("echo", #"{"text":"x"}"#, session: session).text == "x") }
                let eras = Dictionary(uniqueKeysWithValues: await rig.reports().map { ($0.session, $0.era) })
                #expect(eras == ["a": "legacy", "b": "modern", "c": "modern"])
            }
        }
    }

    @Test func whyTheHandshakeWasRefusedIsTold() async throws {
        try await Rig.with("refuses.py") { rig in
            let answer = await rig.start("echo", session: "a", client: .legacy).reply()
            #expect(answer.failure?.reason.contains("API_KEY is not set") == true, "\(answer)")
        }
    }

    /// It belongs to clients of both eras, and the modern one loses nothing.
    @Test(arguments: [Sharing.principal, .shared]) func aSharedOneIsProbed(sharing: Sharing) async throws {
        try await Rig.with("dual.py", limits: { $0.sharing = sharing }) { rig in
            #expect(await rig.start("heard", client: .legacy).reply().text?.contains("server/discover") == true)
        }
    }

    @Test func anAdminsWordIsTheLast() async throws {
        try await Rig.with("dual.py", limits: { $0.era = .modern }) { rig in
            #expect(await rig.start("heard", client: .legacy).reply().text == #"["server/discover", "tools/call"]"#)
        }
    }

    @Test func aProcessThatDiesIsReplacedByOneOfTheSame() async throws {
        try await Rig.with("dual.py") { rig in
            _ = await rig.start("crash", session: "a", client: .legacy).reply()
            let heard = await rig.start("heard", session: "a", client: .legacy).reply()
            #expect(heard.text?.hasPrefix(#"["initialize""#) == true, "\(heard)")
        }
    }

    /// What a probe has opened in its own era is for modern sessions; the one that follows it is for anybody.
    @Test func theSpareFits() async throws {
        try await Rig.with("dual.py", limits: {
            $0.spare = true
            $0.spareDelay = .milliseconds(10)
        }) { rig in
            let probed = try #require(try await rig.warm())
            let first = await rig.start("identity", session: "a", capabilities: Self.able, client: .legacy).reply()
            #expect(first.json?["pid"]?.intValue != nil && first.json?["pid"]?.intValue != Int(probed))
            var spare: Int?
            await eventually("one that nobody spoke to") {
                spare = await rig.reports().first { $0.session.isEmpty && $0.state == "parked" }?.pid.map(Int.init)
                return spare != nil
            }
            let second = await rig.start("identity", session: "b", capabilities: Self.able, client: .legacy).reply()
            #expect(second.json?["pid"]?.intValue == spare)
            #expect(await rig.reports().first { $0.session == "b" }?.era == "legacy")
        }
    }

    // MARK: What a client is told before it has a child

    /// A server of both eras may declare another thing in each, and a client is held to what it was told.
    @Test(arguments: [true, false]) func aClientIsToldWhatItsOwnChildSays(isSpareKept: Bool) async throws {
        try await Rig.with("dual.py", limits: {
            ($0.spare, $0.spareDelay) = (isSpareKept, .milliseconds(10))
        }) { rig in
            _ = try #require(try await rig.warm())
            // Thrice: from what was probed, and from what follows it.
            for session in ["a", "b", "c"] {
                #expect(await rig.told(.legacy, Self.able) == "fixture")
                let waiting = await rig.on { $0.sparePID } ?? nil
                let able = await rig.start("identity", session: session, capabilities: Self.able, client: .legacy).reply()
                #expect(able.json?["pid"]?.intValue != nil)
                // What was started for it is its own.
                if session == "a", !isSpareKept { #expect(able.json?["pid"]?.intValue == waiting.map(Int.init)) }
                #expect(await rig.told(.legacy) == "fixture")
                _ = await rig.start("echo", session: session + " plain", client: .legacy).reply()
                #expect(await rig.told(.modern) == "dual")
                _ = await rig.start("echo", session: session + " modern").reply()
                let eras = Dictionary(await rig.reports().map { ($0.session, $0.era) }) { $1 }
                #expect(eras[session] == "legacy" && eras[session + " plain"] == "legacy" && eras[session + " modern"] == "modern", "\(eras)")
            }
        }
    }

    /// It is for the client that it was started for.
    @Test func whatTheHandshakeOpenedIsNoModernClients() async throws {
        try await Rig.with("dual.py") { rig in
            _ = try #require(try await rig.warm())
            #expect(await rig.told(.legacy, Self.able) == "fixture")
            let waiting = await rig.on { $0.sparePID } ?? nil
            let modern = await rig.start("identity", session: "modern").reply()
            #expect(modern.json?["pid"]?.intValue != nil && modern.json?["pid"]?.intValue != waiting.map(Int.init))
            #expect(await rig.reports().first { $0.session == "modern" }?.era == "modern")
            let able = await rig.start("identity", session: "able", capabilities: Self.able, client: .legacy).reply()
            #expect(able.json?["pid"]?.intValue == waiting.map(Int.init))
        }
    }

    @Test(arguments: ["modern.py", "modern_only.py exit", "modern_only.py silent"]) func whereTheHandshakeFailsItIsWhatTheProbeSaid(
        command: String
    ) async throws {
        let words = command.split(separator: " ").map(String.init)
        try await Rig.with(words[0], arguments: Array(words.dropFirst()), limits: { $0.start = .seconds(16) }) { rig in
            _ = try #require(try await rig.warm())
            #expect(await rig.told(.legacy, Self.able) == "modern-fixture")
            let waiting = await rig.on { $0.sparePID } ?? nil
            let able = await rig.start("identity", session: "a", capabilities: Self.able, client: .legacy).reply()
            #expect(able.json?["pid"]?.intValue == waiting.map(Int.init), "\(able)")
            #expect(await rig.on { $0.lastFailure == nil } == true)
        }
    }

    /// Nobody's process ends for a handshake, and no client waits for that.
    @Test func withoutRoomItIsWhatTheOthersSay() async throws {
        try await Rig.with("dual.py", limits: { $0.children = 1 }) { rig in
            let busy = rig.start("hang", session: "a", progress: true)
            await eventually("it runs") { !busy.notifications.isEmpty }
            #expect(await rig.told(.legacy, Self.able) == "dual")
            busy.cancel()
            _ = await busy.reply()
        }
    }
}
