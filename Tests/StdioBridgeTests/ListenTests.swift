import Glibc
import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

/// Subscriptions to real children.
@Suite struct ListenTests {
    private static func message(_ filter: String) -> String {
        #"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":\#(filter)}}"#
    }

    private func methods(_ pending: Pending) -> [String] {
        pending.notifications.map { (try? JSONValue(parsing: $0)["method"]?.stringValue) ?? "?" }
    }

    @Test(.tags(.failure21)) func changesAndUpdatesArrive() async throws {
        try await Rig.with("resources.py") { rig in
            let listen = rig.send(Self.message(#"{"toolsListChanged":true,"resourceSubscriptions":["a://1"]}"#))
            await eventually("acknowledged") { listen.notifications.count == 1 }
            #expect(await rig.call("touch", #"{"uri":"a://1"}"#).json?.text == #"["a://1"]"#)
            _ = await rig.call("touch", #"{"uri":"b://2"}"#)
            _ = await rig.call("change_tools")
            await eventually("both") { listen.notifications.count == 3 }
            #expect(methods(listen).dropFirst() == ["notifications/resources/updated", "notifications/tools/list_changed"])
            listen.cancel()
            _ = await listen.reply()
            await eventually("unsubscribed") { await rig.call("touch", #"{"uri":"a://1"}"#).json?.text == "[]" }
        }
    }

    /// The server dies: the subscription goes on with its next process, and says that anything may have changed.
    @Test(.tags(.failure06, .failure21)) func itOutlivesAProcess() async throws {
        try await Rig.with("resources.py") { rig in
            let listen = rig.send(Self.message(#"{"toolsListChanged":true,"resourceSubscriptions":["a://1"]}"#))
            await eventually("acknowledged") { listen.notifications.count == 1 }
            #expect(await rig.call("crash").failure?.kind == .outcomeUnknown)
            #expect(!listen.isDone)
            let again = await rig.call("touch", #"{"uri":"a://1"}"#)
            #expect(again.json?.text == #"["a://1"]"#, "the next process was asked for the same")
            await eventually("news") { listen.notifications.count == 4 }
            #expect(
                methods(listen).dropFirst() == [
                    "notifications/tools/list_changed", "notifications/resources/updated", "notifications/resources/updated",
                ])
        }
    }

    /// The first message of a subscription is its acknowledgement, also when the process that was asked first died over it.
    @Test func theAcknowledgementComesFirst() async throws {
        var template = Array("/tmp/berth-listen-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            unlink(directory + "/asked")
            rmdir(directory)
        }
        try await Rig.with("dies_on_listen.py", environment: ["PATH=/usr/bin:/bin", "MARK=\(directory)/asked"]) { rig in
            let listen = rig.send(Self.message(#"{"toolsListChanged":true}"#))
            await eventually("it died over it") { rig.log.contains { $0.contains("exited with status 5") } }
            #expect(await rig.call("echo", #"{"text":"x"}"#).text == "x")
            await eventually("acknowledged") { !listen.notifications.isEmpty }
            #expect(methods(listen) == ["notifications/subscriptions/acknowledged"])
        }
    }

    @Test func subscriptionsWithoutAProcessAreBounded() async throws {
        try await Rig.with("resources.py", limits: { $0.callsPerChild = 3 }) { rig in
            let listens = (0..<2).map { _ in rig.send(Self.message(#"{"toolsListChanged":true}"#)) }
            await eventually("acknowledged") { listens.allSatisfy { $0.notifications.count == 1 } }
            #expect(await rig.call("crash").failure?.kind == .outcomeUnknown)
            let more = (0..<2).map { _ in rig.send(Self.message(#"{"toolsListChanged":true}"#)) }
            #expect(await more[1].reply().failure?.reason == "too many calls in flight to this server")
        }
    }

    @Test func itKeepsNobodyFromBeingIdle() async throws {
        try await Rig.with("resources.py", limits: { $0.children = 1 }) { rig in
            let listen = rig.send(Self.message(#"{"toolsListChanged":true}"#))
            await eventually("acknowledged") { listen.notifications.count == 1 }
            #expect(await rig.call("echo", #"{"text":"other"}"#, session: "other").text == "other")
            #expect(await listen.reply().failure?.kind == .outcomeUnknown)
        }
    }
}
