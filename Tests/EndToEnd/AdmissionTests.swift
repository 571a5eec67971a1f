import Foundation
import TestSupport
import Testing

/// More connectors than the host's memory budget has room for, through the real binaries.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct AdmissionTests {
    private func memory(_ berth: Berth, _ key: String) async throws -> Int {
        ((try await berth.json(["status"])["memory"] as? [String: Any])?[key] as? NSNumber)?.intValue ?? -1
    }

    @Test func whatWouldPassTheBudgetIsNotStartedAndCallersAreToldWhenToTryAgain() async throws {
        try await Berth.run { berth in
            try await berth.up(["--memory-budget", "300"])
            #expect(try await memory(berth, "budget") == 300 << 20)
            try await berth.add("one", fixture: "eats_memory.py", ["--memory", "200"])
            #expect(try await memory(berth, "promised") == 200 << 20)
            await #expect { try await berth.add("two", fixture: "eats_memory.py", ["--memory", "128"]) } throws: { error in
                "\(error)".contains("insufficient_capacity") && "\(error)".contains("--memory-budget")
            }
            #expect(try await memory(berth, "promised") == 200 << 20)
            try FileManager.default.removeItem(atPath: (berth.state as NSString).deletingLastPathComponent + "/two-source")

            // The other one may be added while the first is stopped; then the first finds no room.
            try await berth.json(["machines", "stop", "one"])
            try await berth.add("two", fixture: "eats_memory.py", ["--memory", "128"])
            try await berth.json(["vmcp", "create", "office", "one", "two"])
            let token = try await berth.token(for: "ann", vmcp: "office")
            let client = RawClient(url: token.url, token: token.token)
            #expect(try await client.call("two__take", ["mib": 1]).text == "1")
            let reply = try await client.call("one__take", ["mib": 1])
            let error = try #require(reply.json["error"] as? [String: Any], "\(reply)")
            let data = try #require(error["data"] as? [String: Any])
            #expect(error["code"] as? Int == 1001 && data["error"] as? String == "not_delivered")
            #expect(data["reason"] as? String == "memory_budget" && data["retry_after"] as? Int == 5)
            #expect((error["message"] as? String)?.contains("try again in 5 s") == true)
            let refused = try await berth.run(["machines", "start", "one"])
            #expect(refused.status != 0 && refused.errors.contains("128 of 300 MiB"), "\(refused.errors)")

            // An orchestrator that comes back counts what runs.
            let pid = try berth.pid(of: "orchestrator")
            kill(pid, SIGKILL)
            _ = await eventually { (try? await memory(berth, "promised")) == 128 << 20 && (try? berth.pid(of: "orchestrator")) != pid }
            #expect(try await memory(berth, "promised") == 128 << 20)
            try await berth.json(["machines", "stop", "two"])
            #expect(await eventually { (try? await client.call("one__take", ["mib": 1]).text) == "1" })
            let text = try await berth.run(["status"]).output
            #expect(text.contains("200 of 300 MiB promised to 1 machine, 100 MiB headroom (budget 300)"), "\(text)")
        }
    }

    @Test func aBudgetThatIsNoneIsRefusedByName() async throws {
        let berth = try Berth()
        let result = try await berth.run(["up", "--memory-budget", "120%", "--listen", "127.0.0.1:\(berth.port)"])
        #expect(result.status == 64 && result.errors.contains("--memory-budget '120%'"), "\(result.errors)")
    }
}
