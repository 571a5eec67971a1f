import Foundation
import GRDB
import MachineAPI
import NIOCore
import Testing
import Wire

@testable import Orchestrator

/// Logins of registries: sealed, bounded, root's alone.
@Suite struct RegistryLoginTests {
    @Test func aLoginIsSealedForItsRow() async throws {
        try await withFakeHost { host, _ in
            let login = RegistryLogin(user: "alice", password: "a password of some length")
            try await host.store.setLogin(login, of: "r.example")
            #expect(try await host.store.login(of: "r.example") == login)
            #expect(try await host.store.login(of: "other.example") == nil)
            let sealed = try #require(try await host.store.setting("registry/r.example"))
            #expect(!String(decoding: sealed, as: UTF8.self).contains("password") && sealed.firstRange(of: Array("a password".utf8)) == nil)
            // Copied to the row of a registry of somebody else's it does not open there.
            try await host.store.setSetting("registry/evil.example", sealed)
            await #expect(throws: (any Error).self) { _ = try await host.store.login(of: "evil.example") }
            _ = try await host.store.removeLogin(of: "evil.example")
            #expect(try await host.store.removeLogin(of: "r.example"))
            #expect(try await !host.store.removeLogin(of: "r.example"))
            for number in 0..<MachineStore.mostLogins { try await host.store.setLogin(login, of: "r\(number).example") }
            await #expect(throws: MachineFailure.self) { try await host.store.setLogin(login, of: "one-more.example") }
            try await host.store.setLogin(login, of: "r1.example")
            #expect(try await host.store.logins().count == MachineStore.mostLogins)
        }
    }

    @Test(arguments: [("", "p"), ("a:b", "p"), ("a\nb", "p"), ("a", ""), ("a", "p\r\nX: y"), ("a", String(repeating: "p", count: 20_000))])
    func whatNoRegistryTakesIsRefused(_ user: String, _ password: String) {
        #expect(throws: MachineFailure.self) { try RegistryLogin(user: user, password: password).check() }
    }

    @Test(arguments: ["", "name", "r.example/x", "user@r.example", "https://r.example", "r.example:99999", "r example.org"])
    func whatIsNoRegistryIsRefused(_ text: String) { #expect(throws: MachineFailure.self) { try MachineStore.registry(text) } }

    /// A token of the Machines API neither reads nor sets them.
    @Test func onlyRootHasThem() async throws {
        try await withFakeHost { host, _ in
            let (endpoint, token) = try host.tcp()
            let http = HTTPClient()
            for (method, body) in [("GET", nil), ("PUT", #"{"registry": "r.example", "user": "a", "password": "b"}"#), ("DELETE", nil)] {
                let response = try await http.execute(
                    method, "/v1/berth/registries?registry=r.example",
                    headers: [("authorization", "Bearer \(token)"), ("content-type", "application/json")], body: body.map { ByteBuffer(string: $0) }, to: endpoint)
                #expect(response.status == 403)
                _ = try await response.collect(upTo: 1 << 20)
            }
            await http.shutdown()
            #expect(try await host.store.logins().isEmpty)
        }
    }
}
