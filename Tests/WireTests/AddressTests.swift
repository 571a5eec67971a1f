import Testing
import Wire

@Suite struct AddressTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false),
        ("192.0.2.0/31", "192.0.2.1", true), ("192.0.2.0/31", "192.0.2.2", false), ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false), ("::1", "::1", true), ("::1", "::2", false),
    ])
    func contains(block: String, address: String, isInside: Bool) throws {
        #expect(try #require(AddressBlock(block)).contains(try #require(IPAddress(address))) == isInside)
    }

    @Test(arguments: ["", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129", "10.0.0", "host", "10.0.0.0 /8", "/8"])
    func noBlock(text: String) { #expect(AddressBlock(text) == nil) }

    @Test func forms() throws {
        #expect(IPAddress("::ffff:10.0.0.1")?.unmapped == IPAddress("10.0.0.1"))
        #expect(IPAddress("::10.0.0.1")?.unmapped == IPAddress("::10.0.0.1"))
        #expect(IPAddress("::1")?.isLoopback == true && IPAddress("127.9.9.9")?.isLoopback == true)
        #expect(IPAddress("::2")?.isLoopback == false && IPAddress("128.0.0.1")?.isLoopback == false)
        #expect(IPAddress("2001:DB8::0:1")?.description == "2001:db8::1")
    }
}
