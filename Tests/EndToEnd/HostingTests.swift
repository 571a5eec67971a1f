import Foundation
import TestSupport
import Testing

/// Processors, profile and runtime of a connector, from the command to the kernel.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct HostingTests {
    private func limit(_ berth: Berth, _ machine: String) async throws -> Double {
        ((try await berth.json(["machines", "usage", machine])["cpu"] as? [String: Any])?["limit"] as? NSNumber)?.doubleValue ?? -1
    }

    /// The one machine that runs, when an update has taken the old one away.
    private func machine(_ berth: Berth, otherThan old: Berth.Boot) async throws -> Berth.Boot {
        var found: Berth.Boot?
        await eventually("another machine alone") {
            found = try? await berth.machine()
            return found != nil && found != old
        }
        return try #require(found)
    }

    private func hosting(_ berth: Berth) async throws -> [String: Any] {
        try await berth.json(["connector", "show", "eats"])["hosting"] as? [String: Any] ?? [:]
    }

    @Test func processorsAndProfileReachTheMachineAndAreShown() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("eats", fixture: "eats_memory.py", ["--cpus", "0.3", "--profile", "untrusted"])
            #expect(await eventually { (try? await limit(berth, "eats")) == 0.3 })
            var shown = try await hosting(berth)
            #expect((shown["cpus"] as? NSNumber)?.doubleValue == 0.3 && shown["profile"] as? String == "untrusted")
            let text = try await berth.run(["connector", "show", "eats"]).output
            #expect(text.contains("0.3 processors") && text.contains("Profile     untrusted"), "\(text)")
            // It serves as any other does.
            try await berth.json(["vmcp", "create", "office", "eats"])
            let token = try await berth.token(for: "ann", vmcp: "office")
            #expect(try await RawClient(url: token.url, token: token.token).call("take", ["mib": 1]).text == "1")

            let before = try await berth.machine()
            try await berth.json(["connector", "update", "eats", "--profile", "standard"])
            shown = try await hosting(berth)
            #expect((shown["cpus"] as? NSNumber)?.doubleValue == 0.3 && shown["profile"] as? String == "standard")
            let machine = try await machine(berth, otherThan: before).machine
            #expect(await eventually { (try? await limit(berth, machine)) == 0.3 })

            for (option, value, word) in [
                ("--cpus", "0.01", "--cpus 0.01 is out of range"), ("--cpus", "4096", "out of range"), ("--profile", "wild", "--profile"),
                ("--runtime", "crun", "--runtime crun is no absolute path"), ("--runtime", "/bin/true", "berth doctor --runtime /bin/true"),
            ] {
                let refused = try await berth.run(["connector", "update", "eats", option, value])
                #expect(refused.status != 0 && refused.errors.contains(word), "\(option) \(value): \(refused.errors)")
            }
            let privately = try await berth.run(
                ["connector", "update", "eats", "--profile", "untrusted", "--egress-private", "localhost:9999"])
            #expect(privately.status != 0 && privately.errors.contains("reaches no private addresses"), "\(privately.errors)")
            #expect(try await hosting(berth)["profile"] as? String == "standard")
        }
    }

    /// A host without a controller that counts tasks, as far as Berth and the runtime can see.
    @Test func onAHostWithoutALayerOnlyTheTrustedStartAndOnlyWhereAnAdminSaysSo() async throws {
        guard FileManager.default.fileExists(atPath: "/sys/fs/cgroup/pids/tasks") else { return }
        let hide = "mount --make-rprivate / && mount -t tmpfs none /sys/fs/cgroup/pids && exec \"$@\""
        let prefix = ["/usr/bin/unshare", "-m", "/bin/sh", "-c", hide, "sh"]
        try await Berth.run(prefix: prefix) { berth in
            await #expect { try await berth.up() } throws: { "\($0)".contains("machines need cgroup-pids") }
            let essential = try await berth.run(["up", "--without", "user-namespace"])
            #expect(essential.status == 64 && essential.errors.contains("no machine does without it"), "\(essential.errors)")
            try await berth.up(["--without", "cgroup-pids"])
            for profile in ["standard", "untrusted"] {
                await #expect { try await berth.add("eats", fixture: "eats_memory.py", ["--profile", profile]) } throws: { error in
                    "\(error)".contains("isolation_missing") && "\(error)".contains("the profile \(profile) needs cgroup-pids")
                }
                try FileManager.default.removeItem(atPath: (berth.state as NSString).deletingLastPathComponent + "/eats-source")
            }
            try await berth.add("eats", fixture: "eats_memory.py", ["--profile", "trusted"])
            let text = try await berth.run(["connector", "show", "eats"]).output
            #expect(text.contains("Profile     trusted; not on this host: cgroup-pids"), "\(text)")
        }
    }

    @Test func aRuntimeThatWasTriedMakesAConnectorsMachines() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let folder = (berth.state as NSString).deletingLastPathComponent
            guard FileManager.default.isExecutableFile(atPath: "/usr/sbin/runc") else { return }
            let path = folder + "/another-runtime"
            try FileManager.default.copyItem(atPath: "/usr/sbin/runc", toPath: path)
            await #expect { try await berth.add("eats", fixture: "eats_memory.py", ["--runtime", path]) } throws: { error in
                "\(error)".contains("runtime_not_tried") && "\(error)".contains("berth doctor --runtime")
            }
            try FileManager.default.removeItem(atPath: folder + "/eats-source")
            let trial = try await berth.json(["doctor", "--runtime", path])
            #expect(trial["usable"] as? Bool == true && trial["noted"] as? Bool == true)
            try await berth.add("eats", fixture: "eats_memory.py", ["--runtime", path])
            let text = try await berth.run(["connector", "show", "eats"]).output
            #expect(text.contains("Runtime     \(path)"), "\(text)")
            let boot = try await berth.machine()
            let record = berth.state + "/orchestrator/bundles/\(boot.machine)-\(boot.boot)/runtime"
            #expect(try String(contentsOfFile: record, encoding: .utf8) == path)
            try await berth.json(["connector", "update", "eats", "--runtime", ""])
            let next = try await machine(berth, otherThan: boot)
            #expect(!FileManager.default.fileExists(atPath: berth.state + "/orchestrator/bundles/\(next.machine)-\(next.boot)/runtime"))
            let bad = try await berth.run(["doctor", "--runtime", "/bin/true"])
            #expect(bad.status != 0 && bad.errors.contains("/bin/true is not usable here"), "\(bad.errors)")
        }
    }
}
