import RemoteClient
import Testing
import Wire

struct RemoteAddressTests {
    @Test(arguments: [
        ("http://h/mcp", "http://h:80", "h", "/mcp"), ("https://h", "https://h:443", "h", "/"),
        ("HTTPS://H:8443?x=1#y", "https://h:8443", "H:8443", "/?x=1"),
        ("https://[::1]/a?b", "https://[::1]:443", "[::1]", "/a?b"), ("http://127.0.0.1:8/a#b", "http://127.0.0.1:8", "127.0.0.1:8", "/a"),
    ])
    func aURLIsRead(_ url: String, _ endpoint: String, _ authority: String, _ path: String) throws {
        let address = try #require(RemoteAddress(url))
        #expect(address.endpoint.description == endpoint && address.authority == authority && address.path == path && address.url == url)
        #expect(address.isSecure == endpoint.hasPrefix("https"))
    }

    @Test(arguments: [
        "", "h/mcp", "ftp://h/", "http:/h", "http://", "http://u:p@h/", "http://h:0/", "http://h:x/", "http://h/a b", "http://h\r\nx: y/", "http://h/é",
    ])
    func anythingElseIsNone(_ url: String) { #expect(RemoteAddress(url) == nil) }

    @Test(arguments: [
        ("/messages/?session_id=1", "https://h:1/messages/?session_id=1"), ("messages", "https://h:1/a/messages"), ("?x", "https://h:1/a/sse?x"),
        ("", "https://h:1/a/sse?q=1"), ("./m", "https://h:1/a/m"), ("../m?u=../x", "https://h:1/m?u=../x"), ("../../../m", "https://h:1/m"),
        ("/a/b/../c/.", "https://h:1/a/c/"), ("m#f", "https://h:1/a/m"), ("//g/m", "https://g/m"), ("http://h:1/m", "http://h:1/m"),
        ("m/a:b", "https://h:1/a/m/a:b"),
    ])
    func aReferenceIsResolved(_ reference: String, _ whole: String) throws {
        let base = try #require(RemoteAddress("https://h:1/a/sse?q=1"))
        #expect(base.resolving(reference) == RemoteAddress(whole))
    }

    @Test(arguments: ["mailto:x", "a:b", "ftp://h:1/a", "//u@h:1/", "/a b", "/\n"])
    func aReferenceToNowhereIsNone(_ reference: String) throws {
        #expect(try #require(RemoteAddress("https://h:1/a/sse")).resolving(reference) == nil)
    }

    @Test(arguments: [
        ("https://H/x", true), ("https://h:443", true), ("http://h:443/", false), ("https://h:444/", false), ("https://hh/", false), ("http://h/", false),
    ])
    func originsAreCompared(_ other: String, _ isSame: Bool) throws {
        let address = try #require(RemoteAddress("https://h/mcp"))
        #expect(try #require(RemoteAddress(other)).isSameOrigin(as: address) == isSame)
    }
}
