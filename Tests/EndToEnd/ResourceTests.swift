import Foundation
import TestSupport
import Testing

/// What machines use, as the commands tell it, and what becomes of a server that wants more than it may have.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct ResourceTests {
    private func number(_ object: [String: Any], _ part: String, _ key: String) -> Double? {
        ((object[part] as? [String: Any])?[key] as? NSNumber)?.doubleValue
    }

    @Test func usageIsToldOfOneMachineAndOfAll() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("eats", fixture: "eats_memory.py", ["--memory", "128", "--pids", "80"])
            let usage = try await berth.json(["machines", "usage", "eats"])
            #expect(number(usage, "memory", "limit") == Double(128 << 20) && number(usage, "memory", "used") ?? 0 > Double(4 << 20))
            #expect(number(usage, "pids", "limit") == 80 && number(usage, "pids", "now") ?? 0 >= 2)
            #expect(number(usage, "cpu", "time_ms") ?? 0 > 0 && number(usage, "cpu", "limit") == 0.5)
            #expect(number(usage, "descriptors", "open") ?? 0 > 5 && number(usage, "disk", "tmp_limit") == Double(32 << 20))
            #expect(number(usage, "disk", "log") ?? 0 > 0)
            // The agent's first word and the server's are stamps of their own.
            for step in ["row", "root", "create", "start", "agent", "server"] { #expect(number(usage, "start", "\(step)_ms") != nil, "\(usage)") }
            #expect(number(usage, "start", "total_ms") ?? 0 > number(usage, "start", "server_ms") ?? .infinity)

            let all = try await berth.json(["machines", "list", "--usage"])["machines"] as? [[String: Any]]
            #expect(all?.count == 1 && all?.first?["boot_id"] as? String == usage["boot_id"] as? String)
            let table = try await berth.run(["machines", "list", "--usage"]).output.split(separator: "\n").map(String.init)
            #expect(table.count == 2 && table[0].contains("THROTTLED") && table[1].contains(" of 128 MiB"), "\(table)")
            let text = try await berth.run(["machines", "usage", "eats"]).output
            #expect(text.contains("Last start") && text.contains("server ") && text.contains("of 0.5 processors"), "\(text)")

            try await berth.json(["machines", "stop", "eats"])
            let stopped = try await berth.json(["machines", "usage", "eats"])
            #expect(stopped["memory"] == nil && number(stopped, "disk", "log") ?? 0 > 0 && stopped["start"] != nil)
        }
    }

    @Test func aServerThatTakesMoreMemoryThanItMayIsToldAsSuch() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("eats", fixture: "eats_memory.py", ["--memory", "64"])
            try await berth.json(["vmcp", "create", "office", "eats"])
            let token = try await berth.token(for: "ann", vmcp: "office")
            let client = RawClient(url: token.url, token: token.token)
            let boot = try await berth.machine()
            let reply = try await client.call("take", ["mib": 200])
            let error = try #require(reply.json["error"] as? [String: Any], "\(reply)")
            #expect(error["code"] as? Int == 1002)
            let message = error["message"] as? String ?? ""
            #expect(message.contains("oom_killed") && message.contains("--memory"), "\(message)")
            // The machine lives on, and the next call has another process in it.
            #expect(try await client.call("take", ["mib": 1]).text == "1")
            #expect(try await berth.machine() == boot)
            let events = try await berth.json(["machines", "events", "eats"])["events"] as? [[String: Any]] ?? []
            let oom = try #require(events.first { $0["type"] as? String == "oom" }, "\(events)")
            #expect(oom["source"] as? String == "kernel" && (oom["reason"] as? String)?.hasPrefix("oom_killed") == true)
            #expect(number(try await berth.json(["machines", "usage", "eats"]), "memory", "oom_kills") ?? 0 >= 1)
        }
    }

    @Test func aServerThatNeedsMoreMemoryToStartIsRefusedWithTheRemedy() async throws {
        try await Berth.run { berth in
            try await berth.up()
            await #expect { try await berth.add("eats", fixture: "eats_memory.py", ["--memory", "64", "--env", "EAT_FIRST=200"]) } throws: { error in
                let text = "\(error)"
                return text.contains("\"oom_killed\"") && text.contains("--memory")
            }
        }
    }
}
