import ControlSurface
import Hummingbird
import NIOCore
import Testing

@Suite struct RequestTests {
    @Test func keepsTheHeadAsItCame() async throws {
        let headers = [(name: "Host", value: "h:1"), (name: "X-A", value: "1"), (name: "x-a", value: "2"), (name: "bad name", value: "3")]
        let request = try #require(Request(method: "PATCH", target: "/a/b?c=d", headers: headers, body: ByteBuffer(string: "text")))
        #expect(request.method == .patch && request.uri.path == "/a/b" && request.uri.query == "c=d" && request.head.authority == "h:1")
        #expect(request.headers[values: try #require(.init("x-a"))] == ["1", "2"])
        #expect(String(buffer: try await request.body.collect(upTo: 100)) == "text")
        #expect(Request(method: "A B", target: "/", headers: headers, body: ByteBuffer()) == nil)
    }
}
