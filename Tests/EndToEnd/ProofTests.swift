import Foundation
import TestSupport
import Testing

/// `berth doctor --prove`, and that it proves something: what is refused inside a machine succeeds outside.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct ProofTests {
    @Test func everyAttackIsRefusedInsideAMachine() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let proof = try await berth.run(["doctor", "--prove", "--json"], seconds: 600)
            let json = try #require(proof.lastJSON, "\(proof.output) \(proof.errors) \(berth.log)")
            let attacks = try #require(json["attacks"] as? [[String: Any]])
            for attack in attacks { #expect(attack["refused"] as? Bool == true, "\(attack)") }
            #expect(proof.status == 0 && attacks.count >= 24 && json["possible"] as? Int == 0, "\(proof.output)")
            func detail(_ name: String) -> String { attacks.first { $0["attack"] as? String == name }?["detail"] as? String ?? "" }
            // There was a sibling: the kernel knows it and does not let it be touched.
            #expect(detail("sibling_environment").firstMatch(of: /signal 0 to \d+: EPERM/) != nil, "\(detail("sibling_environment"))")
            #expect(detail("sibling_environment").hasSuffix("lives on"))
            #expect(detail("host_files").contains("\(berth.state)/orchestrator/keys: not there"), "\(detail("host_files"))")
            // A path that this host has not is told as that, and a call that anybody is refused counts for nothing.
            for path in ["/proc/kcore", "/proc/sysrq-trigger"] where access(path, F_OK) != 0 {
                #expect(detail("host_files").contains("\(path): the host has none"), "\(detail("host_files"))")
            }
            let doors = detail("kernel_doors").components(separatedBy: "; ")
            #expect(doors.contains("raw socket: EPERM, not proven: so outside"), "\(doors)")
            #expect(doors.contains { !$0.contains("not proven") && $0.hasPrefix("keyctl: ") }, "\(doors)")
            #expect(detail("memory_bomb").contains("killed") || detail("memory_bomb").contains("no more than"), "\(detail("memory_bomb"))")
            // Of a machine with a way out: what was refused was refused by us, and for that.
            #expect(detail("host_loopback").hasSuffix("counted: localhost:443 not_global"), "\(detail("host_loopback"))")
            #expect(detail("metadata_address").contains("ECONNRESET; counted: 169.254.169.254:80 literal"), "\(detail("metadata_address"))")
            // Nothing stays but what was there before.
            for command in [["connector", "list"], ["vmcp", "list"]] {
                let list = try await berth.run(command + ["--json"])
                #expect(!list.output.contains("prove-"), "\(list.output)")
            }
        }
    }

    /// Each attack as root on this host, on a process and in a mount namespace of the test's own, small where it is a bomb.
    @Test func everyAttackSucceedsOutside() async throws {
        try await Attacker.run { attacker in
            let names = try await attacker.names()
            #expect(names.count >= 13)
            for name in names {
                let answer = try await attacker.attack(name)
                #expect(answer.refused == false, "\(name): \(answer)")
                // For the right reason: it did what it says, and did not stumble.
                #expect(["SUCCEEDED", "BESIDE", "FORKS", "TAKEN"].contains { answer.detail.contains($0) }, "\(name): \(answer)")
            }
        }
    }

    /// The same for those of a machine with a way out, in a network of the test's own where somebody listens.
    /// Of the name service there is only the agent's.
    @Test func everyAttackOutwardsSucceedsOutside() async throws {
        try await Attacker.run { attacker in
            let names = try await attacker.names(outwards: true)
            #expect(names.count == 11)
            let here: [String: Any] = ["address": "127.0.0.1", "port": 4433, "ports": [4433], "at": [["127.0.0.1", 4433]], "name": "localhost"]
            for name in names where name != "other_names" {
                let path = try attacker.file("relay")
                let more = name == "take_ports" ? ["at": [["127.0.0.77", 53], ["127.0.0.1", 443]]] : ["path": path]
                let answer = try await attacker.attack(name, more: here.merging(more) { $1 }, outwards: true)
                #expect(!answer.refused && answer.detail.contains("SUCCEEDED"), "\(name): \(answer)")
            }
        }
    }

    /// Where nothing is left that counts, nothing is refused.
    @Test func whatShowsNothingIsNoRefusal() async throws {
        try await Attacker.run { attacker in
            let paths = ["/etc/shadow", "/proc/1/root/etc/passwd", "/proc/kcore", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"]
            let files = try await attacker.attack("host_files", more: ["absent": paths])
            #expect(!files.refused && paths.allSatisfy { files.detail.contains("\($0): the host has none") }, "\(files)")
            let refused = try await attacker.control()
            #expect(refused.contains("raw socket") && !refused.contains("keyctl"), "\(refused)")
        }
    }

    /// An error is no refusal by itself: here nobody is there to be attacked.
    @Test func nobodyThereIsNoRefusal() async throws {
        try await Attacker.run { attacker in
            for name in ["ptrace_agent", "signal_agent", "sibling_environment"] {
                let answer = try await attacker.attack(name, victim: 0x3fffff)
                #expect(!answer.refused && answer.detail.contains("ESRCH is NO REFUSAL"), "\(name): \(answer)")
            }
        }
    }
}

/// The attacking server, outside of any machine.
private struct Attacker {
    private let folder: String

    static func run(_ body: (Attacker) async throws -> Void) async throws {
        let attacker = Attacker(folder: "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())")
        try FileManager.default.createDirectory(atPath: attacker.folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: attacker.folder) }
        let source = try await Command.run([Repository.binary("berth"), "doctor", "--attack-source"]).output
        try source.write(toFile: attacker.folder + "/server.py", atomically: false, encoding: .utf8)
        try await body(attacker)
    }

    private static let beside = """
        PATH=/usr/sbin:/usr/bin:/sbin:/bin
        ip link set lo up
        sleep 3600 | python3 "$1" 4433 >/dev/null 2>&1 &
        until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 4433))' 2>/dev/null; do :; done
        shift
        exec python3 "$@"
        """

    /// A file that an attack may have.
    func file(_ name: String) throws -> String {
        try Data().write(to: URL(fileURLWithPath: folder + "/" + name))
        return folder + "/" + name
    }

    func names(outwards: Bool = false) async throws -> [String] {
        let tools = try await send("tools/list", [:], outwards: outwards)["tools"] as? [[String: Any]] ?? []
        return tools.compactMap { $0["name"] as? String }.filter { $0 != "alive" }
    }

    /// - Parameter victim: whom to attack in place of a process that was made for it.
    func attack(_ name: String, victim: pid_t? = nil, more: [String: Any] = [:], outwards: Bool = false) async throws -> (refused: Bool, detail: String) {
        let bystander = try Background(["/bin/sleep", "600"], in: folder)
        defer { bystander.end() }
        let target = Int(victim ?? bystander.pid)
        let arguments: [String: Any] = [
            "agent": target, "sibling": target, "limit": 20, "host_paths": ["/etc/passwd"], "addresses": [["127.0.0.1", 9]],
        ].merging(more) { $1 }
        let content = try await send("tools/call", ["name": name, "arguments": arguments], outwards: outwards)["content"] as? [[String: Any]]
        let text = try #require(content?.first?["text"] as? String)
        let finding = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        return (finding["refused"] as? Bool ?? true, finding["detail"] as? String ?? "")
    }

    /// What is refused to an ordinary user on this host.
    func control() async throws -> [String] {
        let content = try await send("tools/call", ["name": "control"])["content"] as? [[String: Any]]
        let text = try #require(content?.first?["text"] as? String)
        return (try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: [String]])?["refused"] ?? []
    }

    /// One request to a server of its own: an attack that succeeds may leave little of it.
    private func send(_ method: String, _ params: [String: Any], outwards: Bool = false) async throws -> [String: Any] {
        let message = try JSONSerialization.data(withJSONObject: ["jsonrpc": "2.0", "id": 1, "method": method, "params": params])
        let command =
            outwards
            // A listener beside it, which ends with it: it is the first process of its namespace.
            ? ["/usr/bin/unshare", "-mnpf", "/bin/sh", "-c", Self.beside, "sh", Repository.fixture("listens.py"), folder + "/server.py", "egress"]
            : ["/usr/bin/unshare", "-m", "/usr/bin/python3", folder + "/server.py"]
        let result = try await Command.run(command, input: String(decoding: message, as: UTF8.self) + "\n", seconds: 120)
        return try #require(result.lastJSON?["result"] as? [String: Any], "\(result.output) \(result.errors)")
    }
}
