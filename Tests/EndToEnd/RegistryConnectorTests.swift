import Foundation
import TestSupport
import Testing

/// `--oci REFERENCE`: images of a real registry (Debian's) on this host, as it is and behind one that behaves like public ones.
@Suite(
    .enabled(if: Berth.isPossible, "machines need root"),
    .enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/docker-registry"), "apt-get install docker-registry"), .serialized)
struct RegistryConnectorTests {
    private struct Ports { var plain, front, elsewhere: Int }

    /// A registry that holds one image of `tiny` by each of these names.
    private func withRegistry(_ names: [String], _ body: (Berth, Ports) async throws -> Void) async throws {
        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent + "/registry"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let program = try await CompiledFixture.make("tiny", in: folder)
            let image: [String: Any] = [
                "config": ["Entrypoint": ["/tiny"]], "platform": ["os": "linux", "architecture": "amd64"],
                "layers": [["entries": [["name": "tiny", "path": program]]], ["entries": [["name": "more", "text": "of a second layer"]]]],
            ]
            let other: [String: Any] = [
                "architecture": "arm64", "platform": ["os": "linux", "architecture": "arm64"], "layers": [["entries": [["name": "x", "text": "y"]]]],
            ]
            // For this platform a second time, as for a newer processor: the first one is taken, and nothing else is fetched.
            let second: [String: Any] = [
                "config": ["Entrypoint": ["/none"]], "platform": ["os": "linux", "architecture": "amd64", "variant": "v3"],
                "layers": [["entries": [["name": "x", "text": "of the second"]]]],
            ]
            let text = String(
                decoding: try JSONSerialization.data(withJSONObject: ["nested": true, "images": [other, image, second]]), as: UTF8.self)
            let made = try await Command.run(["/usr/bin/python3", Repository.fixture("layout.py"), folder + "/layout"], input: text)
            #expect(made.status == 0, "\(made.errors)")
            let registry = try Background(
                ["/usr/bin/python3", Repository.fixture("registry.py"), folder] + names.map { "\($0)=\(folder)/layout" }, in: folder)
            defer { registry.end() }
            let line = try await registry.line()
            let ports = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Int])
            try await berth.up()
            try await body(berth, Ports(plain: ports["plain"] ?? 0, front: ports["front"] ?? 0, elsewhere: ports["elsewhere"] ?? 0))
        }
    }

    @Test func anImageIsPulledOnceAndNamedByItsDigest() async throws {
        try await withRegistry(["tools/tiny", "away/tiny"]) { berth, ports in
            let added = try await berth.run(["connector", "add", "plain", "--oci", "127.0.0.1:\(ports.plain)/tools/tiny"], seconds: 300)
            #expect(added.status == 0 && added.output.contains("plain ready: 2 tools"), "\(added.output) \(added.errors) \(berth.log)")
            #expect(added.output.contains("Release    tools/tiny latest") && added.output.contains("Digest     sha256:"), "\(added.output)")
            #expect(added.output.contains(" packed\n") && !added.output.contains("Caution"), "\(added.output)")
            let shown = try await berth.json(["connector", "show", "plain"])
            #expect(shown["source"] as? String == "127.0.0.1:\(ports.plain)/tools/tiny")
            let recorded = try #require((shown["packages"] as? [String])?.first)
            #expect(recorded.hasPrefix("127.0.0.1:\(ports.plain)/tools/tiny@sha256:"), "\(recorded)")
            let bill = try await berth.run(["image", "sbom", "plain"])
            #expect(bill.output.contains("\"purl\":\"pkg:oci/tiny@sha256:") && bill.output.contains("\"unknown\""), "\(bill.output.prefix(2_000)) \(bill.errors)")
            // By that digest it is the same image.
            let again = try await berth.run(["connector", "add", "pinned", "--oci", recorded], seconds: 300)
            #expect(again.status == 0, "\(again.output) \(again.errors)")
            let pinned = try await berth.json(["connector", "show", "pinned"])
            #expect(pinned["image"] as? String == shown["image"] as? String)

            // Tokens and blobs of other places.
            for name in ["tools/tiny:latest", "away/tiny"] {
                let front = try await berth.run(["connector", "add", "front", "--oci", "127.0.0.1:\(ports.front)/\(name)"], seconds: 300)
                #expect(front.status == 0 && front.output.contains("sends to 127.0.0.1:\(ports.elsewhere)"), "\(front.output) \(front.errors)")
                try await berth.json(["connector", "remove", "front"])
            }
            try await berth.json(["vmcp", "create", "desk", "plain"])
            let alice = try await berth.token(for: "alice", vmcp: "desk")
            #expect(try await RawClient(url: alice.url, token: alice.token).call("echo", ["text": "pulled"]).text == "pulled")
        }
    }

    /// With a user and a password, which nobody but the registry and its token service hears.
    @Test func whatIsNotForEverybodyIsFetchedByALogin() async throws {
        try await withRegistry(["private/tiny", "closed/tiny"]) { berth, ports in
            let (front, password) = ("127.0.0.1:\(ports.front)", "s3cret-of-a-registry")
            func trial(_ name: String) async throws -> CommandResult { try await berth.run(["image", "test", "--oci", "\(front)/\(name)"], seconds: 300) }
            for name in ["private/tiny", "closed/tiny"] {
                let denied = try await trial(name)
                #expect(denied.status == 1 && denied.errors.contains("berth image login \(front) --user USER"), "\(denied.errors)")
            }
            let wrong = try await berth.run(["image", "login", front, "--user", "alice"], input: "another\n")
            #expect(wrong.status == 0, "\(wrong.errors)")
            let refused = try await trial("private/tiny")
            #expect(refused.status == 1 && refused.errors.contains("Check user and password"), "\(refused.errors)")
            let right = try await berth.run(["image", "login", front, "--user", "alice"], input: password + "\n")
            #expect(right.status == 0 && right.output == "\(front): images are fetched as alice\n", "\(right.output) \(right.errors)")
            for name in ["private/tiny", "closed/tiny"] {
                let passed = try await trial(name)
                #expect(passed.status == 0 && passed.output.contains("passed: 2 tools"), "\(passed.output) \(passed.errors) \(berth.log)")
                #expect(passed.output.contains("sends to 127.0.0.1:\(ports.elsewhere)"), "it redirects, and refuses whoever brings a login along")
            }
            // Sealed where it is kept, gone where it was used, in no answer and no log.
            let found = try await Command.run(["/bin/grep", "--recursive", "--files-with-matches", "--fixed-strings", password, berth.state])
            #expect(found.status == 1 && found.output.isEmpty, "\(found.output)")
            let listed = try await berth.run(["image", "login", "--json"])
            #expect(listed.output.contains("alice") && !listed.output.contains(password))
            let out = try await berth.run(["image", "logout", front])
            #expect(out.status == 0 && out.output == "forgot the login of \(front)\n", "\(out.errors)")
            try await berth.refuses([
                BadInput(["image", "logout", front], says: "there is no login of \(front) — berth image login lists them"),
                BadInput(["image", "login", "not a host", "--user", "x"], says: "not a host is no registry — HOST or HOST:PORT, as in front of an image's name", input: "longer than four\n"),
                BadInput(["image", "login", front], code: 64, says: "--user is missing — berth image login --help shows how"),
            ])
        }
    }

    @Test func whatCannotBePulledIsNamed() async throws {
        try await withRegistry(["tools/tiny", "lost/tiny", "lying/tiny", "closed/tiny"]) { berth, ports in
            try await berth.add("clock", fixture: "fixture.py")
            func add(_ reference: String) -> [String] { ["connector", "add", "x", "--oci", reference] }
            let (plain, front) = ("127.0.0.1:\(ports.plain)", "127.0.0.1:\(ports.front)")
            let none = "sha256:" + String(repeating: "0", count: 64)
            try await berth.refuses([
                BadInput(
                    add("\(plain)/tools/none"),
                    says: "failed: \(plain)/tools/none:latest cannot be used: the registry does not have it — Check its name and tag."),
                BadInput(add("\(plain)/tools/tiny:none"), says: "failed: \(plain)/tools/tiny:none cannot be used: the registry does not have it — *"),
                BadInput(
                    add("\(plain)/tools/tiny@\(none)"), says: "failed: \(plain)/tools/tiny@\(none) cannot be used: the registry does not have it — *"),
                BadInput(add("\(front)/lying/tiny"), says: "failed: \(front)/lying/tiny:latest cannot be used: the blob *"),
                BadInput(
                    add("\(front)/closed/tiny"),
                    says: "failed: \(front)/closed/tiny:latest cannot be used: the registry wants a user and a password — *"),
                // Another name, at an address of this host: only the registry that was named may be there.
                BadInput(
                    add("\(front)/lost/tiny"),
                    says:
                        "failed: \(front) sends to a host that builds may not reach: localhost:\(ports.elsewhere) — Hosts that a registry sends to are reached at public addresses only."),
                BadInput(add("127.0.0.1:9/tools/tiny"), says: "failed: 127.0.0.1:9/tools/tiny:latest cannot be used: the registry *"),
                BadInput(add("tiny"), code: 64, says: "--oci tiny cannot be read: *"),
                BadInput(add("tools/tiny"), says: "failed: tools/tiny is no image of a registry, and no layout on this host — *"),
            ])
            // The token goes to no other place: there it would have been refused.
            let report = try await Command.run(["/usr/bin/curl", "--silent", "http://\(front)/report"])
            #expect((report.lastJSON?["asked"] as? [String])?.contains { $0.hasPrefix("/token?") } == true)
        }
    }
}
