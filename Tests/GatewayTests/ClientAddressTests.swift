import Testing
import Wire

@testable import Gateway

@Suite("client address")
struct ClientAddressTests {
    private static let behind = ClientAddress(proxies: ["10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1"].compactMap(AddressBlock.init))

    @Test(arguments: [
        // From whom nobody trusts, nothing is believed.
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.2", [], "10.0.0.2"),
        ("10.0.0.2", ["198.51.100.1"], "198.51.100.1"),
        // What the client wrote itself stands before what the proxy saw.
        ("10.0.0.2", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.2", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.2", ["6.6.6.6, 198.51.100.1, 10.0.0.9"], "198.51.100.1"),
        ("10.0.0.2", ["10.0.0.7,10.0.0.8"], "10.0.0.7"),
        ("::ffff:10.0.0.2", ["198.51.100.1:4711"], "198.51.100.1"),
        ("2001:db8:1::5", ["[2001:db8:2::7]:4711"], "2001:db8:2::7"),
        ("127.0.0.1", ["2001:db8:2::7"], "2001:db8:2::7"),
        // What cannot be read ends the search at the last proxy that could.
        ("10.0.0.2", ["198.51.100.1, unknown"], "10.0.0.2"),
        ("10.0.0.2", ["198.51.100.1, nonsense, 10.0.0.3"], "10.0.0.3"),
        ("10.0.0.2", [", ,"], "10.0.0.2"),
        ("10.0.0.2", [String(repeating: "1", count: 100)], "10.0.0.2"),
    ])
    func behindProxies(peer: String, forwardedFor: [String], client: String) {
        #expect(Self.behind.of(peer: peer, forwardedFor: forwardedFor) == client)
    }

    @Test func withoutProxies() {
        let direct = ClientAddress(proxies: [])
        #expect(direct.of(peer: "127.0.0.1", forwardedFor: ["6.6.6.6"]) == "127.0.0.1")
        #expect(direct.of(peer: "::ffff:203.0.113.9", forwardedFor: []) == "203.0.113.9")
        #expect(direct.of(peer: nil, forwardedFor: ["6.6.6.6"]) == "")
        #expect(direct.admits(peer: "203.0.113.9"))
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("::1", true), ("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("203.0.113.9", false), ("::ffff:203.0.113.9", false),
    ])
    func whoMayConnect(peer: String, may: Bool) { #expect(Self.behind.admits(peer: peer) == may) }

    /// On a real socket: the rows of a call, of a session and of a refusal name the client that the proxy saw.
    @Test func rows() async throws {
        for (proxies, expected) in [(["127.0.0.1"], "198.51.100.1"), ([], "127.0.0.1")] {
            let settings = DataPathSettings(org: DataPathFixture.org, trustedProxies: proxies.compactMap(AddressBlock.init))
            try await DataPathFixture.with(settings) { (fixture) async throws in
                let forwarded = [("x-forwarded-for", "6.6.6.6, 198.51.100.1"), ("forwarded", "for=6.6.6.6"), ("x-real-ip", "6.6.6.6")]
                let answer = try await fixture.send(
                    "POST", "/v/office/mcp", headers: DataPathFixture.modernHeaders("tools/call", name: "echo") + forwarded,
                    body: DataPathFixture.modern("tools/call", #""name":"echo","arguments":{}"#))
                #expect(answer.status == 200)
                _ = try await fixture.send("POST", "/v/office/mcp", token: "mallory", headers: forwarded, body: "{}")
                _ = try await fixture.send("POST", "/v/other/mcp", headers: forwarded, body: "{}")
                for method in ["tools/call", "connected", "authenticate", "access"] {
                    #expect(fixture.all(method).map(\.clientAddress) == [expected], "\(method)")
                }
            }
        }
    }
}
