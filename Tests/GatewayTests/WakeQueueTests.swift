import Testing

@testable import Gateway

struct WakeQueueTests {
    @Test func noPrincipalHasAllOfAConnectorsAndNoConnectorAll() {
        var queue = WakeQueue(limit: 8)
        func enters(_ connector: String, _ name: String, _ times: Int = 1) -> [Bool] {
            (0..<times).map { _ in queue.enter(connector, of: name) }
        }
        #expect(enters("a", "ann", 3) == [true, true, false], "a quarter each")
        for name in ["bob", "cem", "dan"] { #expect(enters("a", name, 2) == [true, true]) }
        #expect(enters("b", "ann") == [true], "another connector's")
        #expect(enters("a", "eve") == [false], "all that there are")
        queue.leave("a", of: "ann")
        #expect(enters("a", "eve") == [true])
        for name in ["ann", "bob", "bob", "cem", "cem", "dan", "dan", "eve"] { queue.leave("a", of: name) }
        queue.leave("b", of: "ann")
        #expect(queue.isEmpty)
    }
}
