import Foundation
import TestSupport
import Testing

/// The Machines API of a real Berth, over its TCP listener, judged by Fly's published description and by two clients of Fly's.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct MachinesContractTests {
    private static let python = Repository.root + "/.venv-machines/bin/python"
    /// The description is not part of this repository.
    private static let skipped: Int32 = 75

    private struct Target {
        var url: String
        var token: String
        var execToken: String
        /// Of a connector's machine: what becomes ready.
        var config: [String: Any]
    }

    private func target(_ berth: Berth) async throws -> Target {
        try await berth.up(["--exec"])
        try await berth.add("fixture", fixture: "fixture.py")
        let socket = "/run/berth/\(try berth.key)/machines.sock"
        let answer = try await Command.run(["/usr/bin/curl", "-sS", "--unix-socket", socket, "http://machines/v1/berth/bootstrap"])
        let told = try JSONSerialization.jsonObject(with: Data(answer.output.utf8)) as? [String: Any]
        let machines = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        var config = try #require(machines.first?["config"] as? [String: Any])
        config["metadata"] = nil
        return Target(
            url: try #require(told?["machines_url"] as? String), token: try #require(told?["machines_token"] as? String),
            execToken: try #require(told?["machines_exec_token"] as? String), config: config)
    }

    @Test func everyCallIsAsFlyDescribesIt() async throws {
        try await Berth.run { berth in
            let target = try await target(berth)
            let config = String(decoding: try JSONSerialization.data(withJSONObject: target.config), as: UTF8.self)
            let result = try await Command.run(
                [Self.python, "-B", Repository.root + "/Tests/MachinesAPI/contract.py", target.url, config],
                environment: ["BERTH_TOKEN": target.token, "BERTH_EXEC_TOKEN": target.execToken], seconds: 600)
            if result.status == Self.skipped { return print(result.output) }
            #expect(result.status == 0, "\(result.output) \(result.errors) \(berth.log)")
        }
    }

    @Test func clientsOfFlysDriveMachines() async throws {
        try await Berth.run { berth in
            let target = try await target(berth)
            let socket = "/run/berth/\(try berth.key)/machines.sock"
            let made = try await Command.run([
                "/usr/bin/curl", "-sS", "--unix-socket", socket, "-H", "content-type: application/json",
                "-d", #"{"app_name":"box","org_slug":"personal"}"#, "http://machines/v1/apps",
            ])
            #expect(made.output.contains(#""name":"box""#), "\(made)")
            let image = try #require(target.config["image"] as? String)
            let result = try await Command.run(
                [Self.python, "-B", Repository.root + "/Tests/MachinesAPI/third_party.py", target.url, "box", image],
                environment: ["FLY_API_TOKEN": target.token], seconds: 300)
            #expect(result.status == 0 && result.output.hasPrefix("two clients: created, "), "\(result) \(berth.log)")
        }
    }
}
