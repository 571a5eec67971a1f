import Foundation
import TestSupport
import Testing

/// A listener off the loopback, behind a TLS proxy in another network namespace: the proxy's network may connect and its
/// `X-Forwarded-For` counts; whoever goes round it is refused before anything of the request is looked at.
@Suite(.enabled(if: Berth.isPossible, "network namespaces need root"))
struct ProxyTests {
    @Test func onlyTheProxyConnects() async throws {
        let key = String(UUID().uuidString.prefix(6).lowercased())
        let third = Int.random(in: 1...250)
        let (host, proxy, other) = ("10.213.\(third).1", "10.213.\(third).2", "10.213.\(third).3")
        let setUp = """
            ip netns add berth-\(key)
            ip link add bp\(key)h type veth peer name bp\(key)n netns berth-\(key)
            ip address add \(host)/24 dev bp\(key)h
            ip link set bp\(key)h up
            ip -n berth-\(key) address add \(proxy)/24 dev bp\(key)n
            ip -n berth-\(key) address add \(other)/24 dev bp\(key)n
            ip -n berth-\(key) link set bp\(key)n up
            """
        let made = try await Command.run(["/bin/sh", "-ec", setUp])
        do {
            try #require(made.status == 0, "\(made.errors)")
            try await Berth.run { berth in
                let json = try await berth.up(
                    ["--listen", "\(host):\(berth.port)", "--behind-proxy", "\(proxy)/32", "--public-url", "https://mcp.example.test"])
                #expect(json["url"] as? String == "https://mcp.example.test")
                let target = "http://\(host):\(berth.port)/api/v1/status"
                func status(from address: String, _ name: String = "mcp.example.test", _ more: [String] = []) async throws -> String {
                    try await Command.run(
                        ["/usr/sbin/ip", "netns", "exec", "berth-\(key)", "/usr/bin/curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]
                            + ["--interface", address, "--max-time", "20", "-H", "Host: \(name)", "-H", "X-Forwarded-For: 6.6.6.6, 203.0.113.9"] + more
                            + [target]
                    ).output
                }
                #expect(try await status(from: other) == "403")
                #expect(try await status(from: other, "mcp.example.test", ["-H", "Authorization: Bearer \(json["admin_token"] ?? "")"]) == "403")
                #expect(try await status(from: proxy, "\(host):\(berth.port)") == "403", "a name that is not the public one")
                #expect(try await status(from: proxy) == "401")
                let rows = try await berth.audit().filter { $0["method"] as? String == "admin/refused" }
                #expect(rows.map { $0["client_address"] as? String } == ["203.0.113.9"], "\(rows)")
            }
        } catch {
            Issue.record("\(error)")
        }
        // With the namespace goes its end of the pair, and the pair with it.
        let removed = try await Command.run(["/bin/sh", "-c", "ip netns delete berth-\(key); ip link delete bp\(key)h 2>/dev/null; ip netns list"])
        #expect(!removed.output.contains("berth-\(key)"), "\(removed)")
    }
}
