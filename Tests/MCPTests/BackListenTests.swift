import JSONText
import MCP
import NIOCore
import Testing

/// Subscriptions to a child.
@Suite struct BackListenTests {
    private static let everything =
        #"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true}}"#

    private static func listen(_ filter: String) -> String { #""method":"subscriptions/listen","params":{"notifications":\#(filter)}"# }
    private static func changed(_ kind: String) -> String { #"{"jsonrpc":"2.0","method":"notifications/\#(kind)/list_changed"}"# }
    private static func updated(_ uri: String) -> String { #"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"\#(uri)"}}"# }

    @Test func aLegacyChildIsListenedToThroughItsOwnMeans() throws {
        var bench = try BackBench(ready: .legacy, capabilities: Self.everything)
        try bench.send(1, Self.listen(#"{"toolsListChanged":true,"resourceSubscriptions":["a://1","b://2"],"promptsListChanged":false}"#), id: #""L""#)
        #expect(bench.notified.count == 1)
        #expect(
            bench.notified[0].1["params"]?.text
                == #"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://1","b://2"]},"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}"#)
        #expect(try bench.lines.map { try #require($0["params"]?["uri"]?.stringValue) } == ["a://1", "b://2"])
        #expect(bench.lines.allSatisfy { $0["method"]?.stringValue == "resources/subscribe" })
        bench.lines = []

        for message in [Self.changed("tools"), Self.changed("prompts"), Self.updated("b://2"), Self.updated("c://3")] { bench.receive(message) }
        #expect(bench.notified.dropFirst().map { $0.1["method"]?.stringValue } == ["notifications/tools/list_changed", "notifications/resources/updated"])
        #expect(bench.notified.allSatisfy { $0.1["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"]?.stringValue == "L" })
        #expect(bench.notified[2].1["params"]?["uri"]?.stringValue == "b://2")

        // A second subscription to the same resource asks nothing again; the last one to go unsubscribes.
        try bench.send(2, Self.listen(#"{"resourceSubscriptions":["a://1"]}"#), id: "7")
        #expect(bench.lines.isEmpty && bench.notified.last?.1["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"]?.intValue == 7)
        bench.perform(bench.back.cancel(CallID(1)))
        #expect(bench.lines.map { $0["params"]?["uri"]?.stringValue } == ["b://2"] && bench.lines[0]["method"]?.stringValue == "resources/unsubscribe")
        bench.perform(bench.back.cancel(CallID(2)))
        #expect(bench.lines.last?["params"]?["uri"]?.stringValue == "a://1" && bench[1] == "outcome_unknown" && bench[2] == "outcome_unknown")
        let told = bench.notified.count
        bench.receive(Self.changed("tools"))
        #expect(bench.notified.count == told)
    }

    @Test func onlyWhatTheChildCanDoIsGranted() throws {
        var bench = try BackBench(ready: .legacy, capabilities: #"{"tools":{},"resources":{"listChanged":true}}"#)
        try bench.send(
            1, Self.listen(#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a"],"x":1}"#))
        #expect(bench.notified[0].1["params"]?["notifications"]?.text == #"{"resourcesListChanged":true}"# && bench.lines.isEmpty)
    }

    @Test(arguments: [#"7"#, #"{"resourceSubscriptions":"a"}"#, #"{"resourceSubscriptions":[1]}"#]) func badFilters(filter: String) throws {
        var bench = try BackBench(ready: .legacy, capabilities: Self.everything)
        try bench.send(1, Self.listen(filter))
        #expect(bench[1]?.hasPrefix("error -32602") == true && bench.notified.isEmpty)
    }

    @Test func aModernChildNamesItsSubscriptions() throws {
        var bench = try BackBench(ready: .modern, capabilities: Self.everything)
        try bench.send(1, Self.listen(#"{"toolsListChanged":true}"#), id: #""one""#)
        try bench.send(2, Self.listen(#"{"toolsListChanged":true}"#), id: "2")
        let ids = try (1...2).map { _ in try bench.next("id").text }
        for id in ids {
            bench.receive(
                #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":\#(id)}}}"#)
            bench.receive(#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":\#(id)}}}"#)
        }
        #expect(bench.notified.map(\.0.rawValue) == [1, 1, 2, 2])
        #expect(bench.notified.map { $0.1["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"]?.text } == [#""one""#, #""one""#, "2", "2"])
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":\#(ids[0])}}}"#)
        #expect(bench[1]?.contains(#""io.modelcontextprotocol/subscriptionId":"one""#) == true)
    }

    @Test func deathEndsSubscriptions() throws {
        var bench = try BackBench(ready: .legacy, capabilities: Self.everything)
        try bench.send(1, Self.listen(#"{"toolsListChanged":true}"#))
        bench.perform(bench.back.closed(reason: "killed"))
        #expect(bench[1] == "outcome_unknown")
    }

    @Test func thereAreNotEndlesslyMany() throws {
        var bench = try BackBench(ready: .legacy, capabilities: Self.everything)
        for call in 1...65 { try bench.send(call, Self.listen(#"{"toolsListChanged":true}"#)) }
        #expect(bench.notified.count == 64 && bench[65]?.hasPrefix("error -32603") == true)
    }
}
