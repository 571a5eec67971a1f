import Foundation
import TestSupport
import Testing

/// `berth test --machine`: an author's server in a real machine, and what was refused to it there.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct HostedTestTests {
    private func folder(_ berth: Berth) throws -> String {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/hindered"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Repository.fixture("hindered.py"), toPath: folder + "/server.py")
        return folder
    }

    private func findings(_ result: CommandResult) -> [(id: String, severity: String, text: String)] {
        (result.lastJSON?["findings"] as? [[String: Any]] ?? []).map {
            ($0["id"] as? String ?? "", $0["severity"] as? String ?? "", $0["text"] as? String ?? "")
        }
    }

    @Test func whatIsRefusedIsNamed() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let folder = try folder(berth)
            let tested = try await berth.run(["test", "--machine", "--cwd", folder, "--json", "--", "python3", "server.py"], seconds: 300)
            let found = findings(tested)
            #expect(tested.status == 0, "\(tested.output) \(tested.errors) \(berth.log)")
            #expect(found.contains { $0.id == "machine.start" && $0.severity == "pass" }, "\(found)")
            func isNamed(_ id: String, _ texts: String...) -> Bool {
                found.contains { one in one.id == id && one.severity == "warning" && texts.allSatisfy { one.text.contains($0) } }
            }
            #expect(isNamed("refused.path", "/etc/berth-hindered.conf", "openat: EROFS"), "\(found)")
            #expect(isNamed("refused.path", "/home/author/settings.json", "is not in its machine"), "\(found)")
            #expect(isNamed("refused.host", "api.hindered.example") && isNamed("refused.host", "192.0.2.7:443"), "\(found)")
            #expect(isNamed("refused.call", "unshare: EPERM") && isNamed("refused.call", "ptrace: EPERM"), "\(found)")
            #expect(!tested.output.contains("nowhere") && !tested.output.contains("\u{1B}"), "what a server writes behind the mark counts: \(tested.output)")
            // What its own tool says: nothing of it was done, the agent was not traced, and it does not know that it was followed.
            let baseline = folder + "/tools.json"
            _ = try await berth.run(
                ["test", "--machine", "--cwd", folder, "--baseline", baseline, "--write-baseline", "--", "python3", "server.py"], seconds: 300)
            let tools = try String(contentsOfFile: baseline, encoding: .utf8)
            #expect(
                ["write", "read", "name", "unshare", "trace"].allSatisfy { tools.contains("\($0) was refused") } && tools.contains("unasked"),
                "\(tools)")
            let strict = try await berth.run(["test", "--machine", "--strict", "--cwd", folder, "--", "python3", "server.py"], seconds: 300)
            #expect(strict.status == 1 && strict.output.contains("→ write below $HOME or $TMPDIR"), "\(strict.output) \(strict.errors)")

            // One that ends for it: the failure, its last words, and the same names.
            let ended = try await berth.run(["test", "--machine", "--cwd", folder, "--json", "--", "python3", "server.py", "gives-up"], seconds: 300)
            let last = findings(ended)
            #expect(ended.status == 1 && last.contains { $0.id == "machine.start" && $0.severity == "failure" && $0.text.contains("exit_before_ready(3)") }, "\(last) \(ended.errors)")
            #expect(last.contains { $0.id == "refused.path" && $0.text.contains("/etc/berth-hindered.conf") }, "\(last)")
            #expect(last.contains { $0.id == "refused.host" && $0.text.contains("api.hindered.example") }, "\(last)")

            // Nothing is left, and no connector is ever followed.
            #expect((try await berth.json(["connector", "list"])["connectors"] as? [Any])?.isEmpty == true)
            #expect((try await berth.json(["machines", "list"])["machines"] as? [Any])?.isEmpty == true)
            let traced = try await berth.control("POST", "/api/v1/connectors", #"{"name":"x","source":{"pypi":"a"},"trace":true}"#)
            #expect(traced.json["field"] as? String == "trace", "\(traced)")
            try await berth.refuses([
                BadInput(["test", "--machine"], code: 64, says: "no command given — *"),
                BadInput(["test", "--machine", "--call", "x", "--", "python3", "server.py"], code: 64, says: "--call is for a server that runs here — *"),
                BadInput(["test", "--egress", "a.example", "--", "python3", "server.py"], code: 64, says: "--egress and --accept belong to --machine — *"),
                BadInput(["test", "--machine", "--cwd", folder, "--", "python3", "missing.py"], code: 64, says: "it cannot be hosted as it is: *"),
            ])
        }
    }
}
