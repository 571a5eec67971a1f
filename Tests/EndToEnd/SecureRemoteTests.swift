import Foundation
import TestSupport
import Testing

/// `https` URLs, with an authority and certificates of the test's own.
struct SecureRemoteTests {
    static let token = "tok-12345678901234567890"

    @Test func aTrustedServerIsServedAndGetsTheToken() async throws {
        try await RemoteRig.run("modern", certificate: "good") { remote in
            let trust = ["SSL_CERT_FILE": remote.folder + "/ca.pem"]
            let call = ["call", remote.url, "echo", #"{"text":"hé"}"#, "--token-file", remote.folder + "/token"]
            let called = try await remote.berth(call, environment: trust)
            #expect(called.status == 0 && called.output == "hé\n", "\(called)")
            #expect(remote.requests.last?["authorization"] as? String == "Bearer " + Self.token)
            // By a name, which is told to the server and looked for in its certificate, as by an address.
            let named = try await remote.berth(["tools", remote.url.replacingOccurrences(of: "127.0.0.1", with: "localhost")], environment: trust)
            #expect(named.output == "echo\nask\n", "\(named)")
            let talk = try await remote.connect([RemoteRig.call(1, "echo")], environment: trust)
            #expect(talk.text(1) == "" && talk.end.status == 0 && talk.result.errors.isEmpty, "\(talk)")
        }
    }

    @Test(arguments: [
        ("good", "", "is signed by nobody whom this host trusts — name the file with its authority's certificate in SSL_CERT_FILE"),
        ("old", "ca.pem", "has expired — "), ("early", "ca.pem", "is not valid yet — is the clock of this host right?"),
        ("other", "ca.pem", "is made for another host — give the URL with the name"),
    ])
    func aServerThatProvesNothingHearsNothing(_ certificate: String, _ authorities: String, _ says: String) async throws {
        try await RemoteRig.run("modern", certificate: certificate) { remote in
            let trust = ["SSL_CERT_FILE": authorities.isEmpty ? "" : remote.folder + "/" + authorities]
            let refused = try await remote.berth(["tools", remote.url, "--token-file", remote.folder + "/token"], environment: trust)
            #expect(refused.status == 1 && refused.errors.hasPrefix("berth: the call failed: the server's certificate " + says), "\(refused)")
            #expect(refused.errors.split(separator: "\n").count == 1, "\(refused)")
            let talk = try await remote.connect([RemoteRig.call(1, "echo")], environment: trust)
            let error = talk.answer(0)?["error"] as? [String: Any]
            // The client's log has it too, once.
            let message = try #require(error?["message"] as? String)
            #expect(message.hasPrefix("the server's certificate " + says) && talk.result.errors == "berth: \(message)\n", "\(talk)")
            #expect(remote.requests.isEmpty)
        }
    }

    @Test func mistakesWithTLSAreNamed() async throws {
        try await RemoteRig.run("modern") { remote in
            let plain = try await remote.berth(["tools", remote.url.replacingOccurrences(of: "http:", with: "https:")])
            #expect(plain.status == 1 && plain.errors.contains("the server does not speak TLS — is it an http:// URL"), "\(plain)")
            for file in ["nosuch", "token"] {
                let unread = try await remote.berth(["tools", "https://localhost:1/mcp"], environment: ["SSL_CERT_FILE": remote.folder + "/" + file])
                #expect(unread.status == 1 && unread.errors.contains("cannot be read — SSL_CERT_FILE must name"), "\(unread)")
                #expect(unread.errors.contains("SSL_CERT_FILE names \(remote.folder)/\(file), "), "\(unread)")
            }
            #expect(remote.requests.isEmpty)
        }
    }

    @Test func plainHTTPAtAPortOfTLSIsNamed() async throws {
        try await RemoteRig.run("modern", certificate: "good") { remote in
            let url = remote.url.replacingOccurrences(of: "https:", with: "http:")
            let plain = try await remote.berth(["tools", url])
            let authority = url.dropFirst(7).prefix { $0 != "/" }
            let says = "\(url) broke the connection off — does it speak TLS there? then it is https://\(authority)…, else: is it an MCP server?"
            #expect(plain.status == 1 && plain.errors == "berth: \(says)\n", "\(plain)")
            #expect(remote.requests.isEmpty)
        }
    }

    /// The agent is what every machine runs: no second TLS library, and no code that nothing calls.
    @Test func theAgentLinksNoTLS() throws {
        let agent = try Data(contentsOf: URL(fileURLWithPath: Repository.binary("berth-agent")), options: .alwaysMapped)
        let mark = Data("CNIOBoringSSL".utf8)
        #expect(agent.range(of: mark) == nil)
        // The mark is one that shows.
        #expect(try Data(contentsOf: URL(fileURLWithPath: Repository.binary("berth")), options: .alwaysMapped).range(of: mark) != nil)
    }
}
