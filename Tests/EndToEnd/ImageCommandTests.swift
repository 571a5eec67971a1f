import Foundation
import TestSupport
import Testing

/// `berth image`: what machines are made of, what is in it, and whether something can be hosted at all.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct ImageCommandTests {
    @Test func imagesAreListedShownAndTold() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("clock", fixture: "fixture.py")
            let machine = try await berth.machine()
            let images = try #require(try await berth.json(["image", "list"])["images"] as? [[String: Any]])
            let image = try #require(images.first)
            #expect(images.count == 1 && image["connectors"] as? [String] == ["clock"], "\(images)")
            let digest = try #require(image["digest"] as? String)
            let short = String(digest.dropFirst(7).prefix(6))
            let uses = try #require(image["uses"] as? [[String: Any]])
            #expect(uses.contains { $0["machine"] as? String == machine.machine && $0["connector"] as? String == "clock" })

            for word in [short, digest, "clock"] {
                let shown = try await berth.run(["image", "show", word])
                #expect(shown.status == 0 && shown.output.contains(digest) && shown.output.contains("every build: base"), "\(shown.output) \(shown.errors)")
                #expect(shown.output.contains(machine.machine))
            }
            let bill = try await berth.run(["image", "sbom", short])
            let again = try await berth.run(["image", "sbom", "clock", "--json"])
            #expect(bill.status == 0 && bill.output == again.output && bill.output.utf8.count > 1_000, "\(bill.errors)")
            let told = try #require(try JSONSerialization.jsonObject(with: Data(bill.output.utf8)) as? [String: Any])
            let components = try #require(told["components"] as? [[String: Any]])
            #expect(told["specVersion"] as? String == "1.6")
            // The base system's own packages, with their versions.
            let python = components.first { ($0["purl"] as? String)?.contains("/python3@3.") == true }
            #expect(python?["version"] as? String != nil, "\(components.prefix(5))")

            let trial = try await berth.run(["image", "gc", "--dry-run"])
            #expect(trial.status == 0 && trial.output.contains("stays") && trial.output.contains("machine \(machine.machine) of clock"), "\(trial.output)")
            let gc = try await berth.json(["image", "gc"])
            #expect((gc["removed"] as? [Any])?.isEmpty == true && gc["dry_run"] as? Bool == false, "\(gc)")
            try await berth.refuses([
                BadInput(["image", "show", "nowhere"], code: 64, says: "nowhere is neither a connector nor a digest of an image — *"),
                BadInput(["image", "show", "abc"], says: "abc is no digest of an image — give 6 digits of it or more; berth image list shows them"),
                BadInput(["image", "sbom", "000000"], says: "there is no image 000000 — berth image list"),
                BadInput(["image", "show", "clock", "--lock"], says: "the image \(digest.prefix(19)) has no lock — images of PyPI and npm packages have one"),
            ])
        }
    }

    @Test func anImageIsTriedWithoutAConnector() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let folder = (berth.state as NSString).deletingLastPathComponent + "/tried"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: Repository.fixture("fixture.py"), toPath: folder + "/server.py")
            try "import sys\nprint('no key', file=sys.stderr)\nsys.exit(3)\n".write(toFile: folder + "/ends.py", atomically: true, encoding: .utf8)
            try "import nothing_of_that_name\n".write(toFile: folder + "/imports.py", atomically: true, encoding: .utf8)
            func trial(_ file: String, _ extra: [String] = []) async throws -> CommandResult {
                try await berth.run(["image", "test", "--dir", folder] + extra + ["--", "python3", file])
            }
            let passed = try await trial("server.py")
            #expect(passed.status == 0 && passed.output.contains("passed: ") && passed.output.contains("echo"), "\(passed.output) \(passed.errors) \(berth.log)")
            let ended = try await trial("ends.py")
            #expect(ended.status == 1 && ended.errors.contains("exit_before_ready(3)") && ended.errors.contains("no key"), "\(ended.output) \(ended.errors)")
            let json = try await trial("imports.py", ["--json"])
            #expect(json.status == 1 && json.lastJSON?["reason"] as? String == "import_error", "\(json.output) \(json.errors)")

            // Nothing is left but the images, and what says so.
            #expect(try await (berth.json(["machines", "list"])["machines"] as? [Any])?.isEmpty == true)
            #expect(try await (berth.json(["connector", "list"])["connectors"] as? [Any])?.isEmpty == true)
            let images = try #require(try await berth.json(["image", "list"])["images"] as? [[String: Any]])
            #expect(images.count == 3 && images.allSatisfy { ($0["uses"] as? [Any])?.isEmpty == true }, "\(images)")
            let rows = try await berth.audit().filter { $0["action"] as? String == "image.test" || "\($0)".contains("image.test") }
            #expect(rows.count == 3, "\(rows)")
            try await berth.refuses([
                BadInput(["image", "test", "--dir", folder, "--min", "2"], code: 64, says: "--isolation, --min, --max and --idle are a connector's — leave them out: one machine is tried, once"),
                BadInput(["image", "test"], code: 64, says: "no source given — *"),
            ])
        }
    }
}
