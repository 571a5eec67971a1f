import Foundation
import NIOPosix
import TestSupport
import Testing
import Wire

/// What `make test` says about a run.
struct ScriptTests {
    @Test func everyTestIsCounted() async throws {
        let log = """
            ✔ Test readinessSpeaksToIt() passed after 0.1 seconds.
            ✔ Test "run with" passed after 0.1 seconds.
            ✔ Test life() passed after 0.1 seconds.
            ✘ Test refusals() failed after 0.1 seconds with 1 issue.
            ✘ Test "x" failed after 0.1 seconds with 1 issue.
            ➜ Test reading() skipped: "needs root"
            ✘ Test run with 6 tests in 2 suites failed after 0.2 seconds with 2 issues.
            ✔ Test run with 0 tests in 0 suites passed after 0.2 seconds.

            """
        try await withFolder([".build/test-one.log": log]) { folder in
            let result = try await Command.run([Repository.root + "/scripts/test-summary", "totals", "one"], directory: folder)
            #expect(result.output == "3 passed, 2 failed, 1 skipped\n", "\(result)")
        }
    }

    /// A filter that has come to match nothing is no success.
    @Test(arguments: [("1 test in 1 suite", 0), ("12 tests in 2 suites", 0), ("0 tests in 0 suites", 1)] as [(String, Int32)])
    func aGroupWithoutTestsFails(_ ran: String, _ status: Int32) async throws {
        try await withFolder([".build/kept": ""]) { folder in
            let result = try await Command.run(
                [Repository.root + "/scripts/test-summary", "one"], input: "✔ Test run with \(ran) passed after 0.2 seconds.\n", directory: folder)
            #expect(result.status == status && result.output.contains("no test of the group one has run") == (status != 0), "\(result)")
        }
    }

    /// An installation that breaks off is no environment: the next run makes it anew.
    @Test func aFailedInstallationIsNotComplete() async throws {
        try await withFolder { folder in
            let python = """
                #!/bin/sh
                mkdir -p "$3/bin"
                printf '#!/bin/sh\\ntest ! -e broken\\n' > "$3/bin/pip"
                chmod +x "$3/bin/pip"
                """
            try writeFile(python, to: folder + "/bin/python3")
            chmod(folder + "/bin/python3", 0o700)
            try FileManager.default.createDirectory(atPath: folder + "/scripts", withIntermediateDirectories: true)
            for script in ["environments", "common.sh"] {
                try FileManager.default.copyItem(atPath: Repository.root + "/scripts/" + script, toPath: "\(folder)/scripts/\(script)")
            }
            // As `stage` calls it, where the caller's own `set -e` is off.
            func run() async throws -> CommandResult {
                try await Command.run(
                    ["/bin/bash", "-c", ". scripts/common.sh; stage x scripts/environments clients"], environment: ["PATH": folder + "/bin:/usr/bin:/bin"],
                    directory: folder)
            }
            func complete() throws -> Int {
                try FileManager.default.subpathsOfDirectory(atPath: folder).count { $0.hasSuffix("/.complete") }
            }
            try writeFile("", to: folder + "/broken")
            #expect(try await run().status != 0)
            #expect(try complete() == 0)
            try FileManager.default.removeItem(atPath: folder + "/broken")
            #expect(try await run().status == 0)
            #expect(try complete() == 6)
        }
    }

    private static func leftovers(_ arguments: String...) async throws -> CommandResult {
        try await Command.run([Repository.root + "/scripts/leftovers"] + arguments)
    }

    /// A listener for the length of `body`.
    private static func listening(at address: ListenAddress, _ body: (_ port: Int) async throws -> Void) async throws {
        let server = try await PublicServer.bind(address, group: MultiThreadedEventLoopGroup.singleton) { _ in Nobody() }
        do {
            try await body(server.port ?? 0)
        } catch {
            await server.close()
            throw error
        }
        await server.close()
    }

    @Test func whatIsLeftIsLookedFor() async throws {
        let path = "/tmp/berth-scripts-\(UUID().uuidString.prefix(8))"
        try await Self.listening(at: .unix(path: path)) { _ in
            try await Self.listening(at: .tcp(host: "127.0.0.1", port: 0)) { port in
                try await withFolder { folder in
                    let server = try Background([BridgeRig.python, Repository.fixture("ignores_eof.py")], in: folder)
                    defer { server.end() }
                    let found = try await Self.leftovers("look")
                    #expect(found.output.contains("socket \(path)\n") && found.output.contains("listen 0100007F:\(port)\n"), "\(found)")
                    #expect(found.output.contains("file \(path)\n") && found.output.contains("process \(server.pid) /"), "\(found)")
                    let before = folder + "/before"
                    #expect(try await Self.leftovers("snapshot", before).status == 0)
                    // Others run beside this test and come and go: what was there before is told, whatever the outcome.
                    let compared = try await Self.leftovers("compare", before)
                    #expect(compared.output.contains("there before the run: file \(path)\n"), "\(compared)")

                    let snapshot = try String(contentsOfFile: before, encoding: .utf8)
                    try writeFile(snapshot.replacing("file \(path)\n", with: ""), to: before)
                    let left = try await Self.leftovers("compare", before)
                    #expect(left.status == 1 && left.output.contains("LEFT BEHIND:\n"), "\(left)")
                    #expect(left.output.split(separator: "\n").contains("file \(path)"), "\(left)")
                }
            }
        }
        #expect(try await Self.leftovers("compare").status == 64)
    }

    /// Neither its path nor its name is ours: what a server from a package index is known by, and what one of them started.
    @Test func serversOfOthersAreLookedFor() async throws {
        try await withFolder { folder in
            let python = folder + "/.venv-x/bin/python"
            for (words, environment) in [(["/bin/sh", "-c", "sleep 600; :", python], [:]), (["/bin/sleep", "600"], ["HOME": folder])] {
                let server = try Background(words, environment: environment, in: folder)
                defer { server.end() }
                let found = try await Self.leftovers("look")
                #expect(found.output.contains("process \(server.pid) "), "\(words) \(found)")
            }
        }
    }

    private final class Nobody: ServerDelegate {
        func handle(_ exchange: ServerExchange) { exchange.reply(status: 404, headers: [], body: nil) }
    }
}
