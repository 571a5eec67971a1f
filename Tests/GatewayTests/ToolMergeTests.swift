import JSONText
import NIOCore
import Testing

@testable import Gateway

@Suite struct ToolMergeTests {
    private func list(_ names: String...) -> [UInt8] {
        Array("{\"tools\":[\(names.map { "{\"name\":\"\($0)\",\"inputSchema\":{\"type\":\"object\",\"x\":1.50}}" }.joined(separator: ","))]}".utf8)
    }

    private func names(_ merged: ToolMerge.Merged) throws -> [String] {
        let tools = try JSONValue(parsing: Array(merged.toolsListResult.readableBytesView))["tools"]
        return tools?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
    }

    @Test func namesOfOneConnectorStayAsTheyAre() throws {
        let merged = try ToolMerge.merge([.init(connector: "time", toolsListResult: list("now", "convert"))])
        #expect(try names(merged) == ["now", "convert"])
        #expect(merged.tools["now"] == ExposedTool(connector: "time", original: "now"))
    }

    @Test func onlyCollidingNamesGetTheirConnectorsPrefix() throws {
        let merged = try ToolMerge.merge([
            .init(connector: "a", toolsListResult: list("get", "only")), .init(connector: "b", toolsListResult: list("get")),
        ])
        #expect(try names(merged) == ["a__get", "only", "b__get"])
        #expect(merged.tools["b__get"] == ExposedTool(connector: "b", original: "get"))
        #expect(merged.tools["get"] == nil)
    }

    @Test func aServersOwnNameThatLooksPrefixedDoesNotTakeOver() throws {
        let merged = try ToolMerge.merge([
            .init(connector: "a", toolsListResult: list("get", "b__get")), .init(connector: "b", toolsListResult: list("get")),
        ])
        #expect(merged.tools["b__get"] == ExposedTool(connector: "a", original: "b__get"), "the first one stands")
        #expect(try names(merged).filter { $0 == "b__get" }.count == 1)
    }

    @Test func longNamesAreShortenedTheSameWayEveryTime() throws {
        let long = String(repeating: "n", count: 80)
        let one = try names(ToolMerge.merge([.init(connector: "a", toolsListResult: list(long))]))
        #expect(one == (try names(ToolMerge.merge([.init(connector: "a", toolsListResult: list(long))]))))
        #expect(one[0].utf8.count == ToolMerge.maximumNameLength)
        let other = try names(ToolMerge.merge([.init(connector: "a", toolsListResult: list(long + "x"))]))
        #expect(other != one)
    }

    @Test func schemasAreKeptByteForByte() throws {
        let merged = try ToolMerge.merge([.init(connector: "a", toolsListResult: list("get"))])
        #expect(String(buffer: merged.toolsListResult).contains(#""inputSchema":{"type":"object","x":1.50}"#))
    }

    @Test func theListIsPrivateAndComplete() throws {
        let value = try JSONValue(parsing: Array(ToolMerge.merge([]).toolsListResult.readableBytesView))
        #expect(value["resultType"]?.stringValue == "complete")
        #expect(value["cacheScope"]?.stringValue == "private")
        #expect(value["tools"]?.arrayValue?.isEmpty == true)
    }
}
