import Foundation
import Glibc
import MachineAPI
import Synchronization
import TestSupport
import Testing

@testable import Orchestrator

/// What a connector's profile insists on, and what it takes away.
struct IsolationProfileTests {
    private static let whole = ["privilege", "user-namespace", "seccomp", "cgroup-pids", "cgroup-cpu", "cgroup-memory", "read-only-root"].map {
        IsolationLayer($0, .active, "there")
    } + [
        IsolationLayer("cgroup-devices", .active, "there", isRequired: false),
        IsolationLayer("landlock", .degraded, "not known", remedy: "boot", isRequired: false, isWall: false),
    ]

    private static func host(without name: String, _ state: IsolationLayer.State = .missing) -> [IsolationLayer] {
        whole.map { layer in
            layer.name == name ? IsolationLayer(name, state, "gone", remedy: "mend \(name)", isRequired: layer.isRequired, isWall: layer.isWall) : layer
        }
    }

    @Test("a whole host takes every profile; what is no wall is nobody's business", arguments: IsolationProfile.allCases)
    func whole(_ profile: IsolationProfile) {
        #expect(profile.lacking(Self.whole).isEmpty && profile.lacking([]).isEmpty)
        #expect(profile.lacking(Self.host(without: "landlock")).isEmpty)
    }

    @Test(
        "each layer that is missing keeps those from starting that insist on it",
        arguments: [
            ("privilege", [IsolationProfile.trusted, .standard, .untrusted]), ("user-namespace", [.trusted, .standard, .untrusted]),
            ("read-only-root", [.trusted, .standard, .untrusted]), ("cgroup-memory", [.trusted, .standard, .untrusted]),
            ("seccomp", [.standard, .untrusted]), ("cgroup-pids", [.standard, .untrusted]), ("cgroup-cpu", [.standard, .untrusted]),
            ("cgroup-devices", [.untrusted]),
        ])
    func missing(_ layer: String, _ refused: [IsolationProfile]) {
        for profile in IsolationProfile.allCases {
            let lacking = profile.lacking(Self.host(without: layer))
            #expect(lacking.map(\.name) == (refused.contains(profile) ? [layer] : []), "\(profile)")
        }
    }

    @Test("one that is there by halves keeps the untrusted from starting")
    func degraded() {
        let host = Self.host(without: "cgroup-devices", .degraded)
        #expect(IsolationProfile.untrusted.lacking(host).map(\.name) == ["cgroup-devices"] && IsolationProfile.standard.lacking(host).isEmpty)
    }

    @Test("a start is refused by the layer's name, with the remedy; nothing of it stays, and a trusted one goes without")
    func refusal() async throws {
        try await withFakeHost(layers: Self.host(without: "seccomp")) { host, client in
            try await client.createApp("a", org: "acme", appRoot: [UInt8](repeating: 7, count: 32))
            var config = FakeHost.config
            for profile in [nil, "untrusted"] {
                config.berth = profile.map { profile in
                    var own = MachineConfig.Own()
                    own.profile = profile
                    return own
                }
                do {
                    _ = try await client.create(app: "a", name: "m", config: config, skipLaunch: false)
                    Issue.record("\(profile ?? "standard") was started")
                } catch let error as MachineAPIError {
                    #expect(error.status == 412 && error.code == "isolation_missing" && error.hint == "mend seccomp")
                    #expect(error.message.contains("profile \(profile ?? "standard") needs seccomp"), "\(error)")
                }
            }
            #expect(try await client.machines(app: "a").isEmpty && host.budget.report.promised == 0)
            config.berth?.profile = "trusted"
            let machine = try await client.create(app: "a", name: "m", config: config, skipLaunch: false)
            _ = try await client.wait(app: "a", id: machine.id, for: .started, seconds: 60)
            let spec = try #require(host.runtime.state.withLock { $0.specs.first })
            #expect(spec.without == ["seccomp"] && !spec.isUntrusted)
        }
    }

    @Test("a profile that nobody knows, private addresses for the untrusted and a relative runtime are refused by field")
    func rules() {
        for (own, field) in [
            (#"{"profile":"wild"}"#, "config.berth.profile"),
            (#"{"profile":"untrusted","egress_private":["a.example"]}"#, "config.berth.egress_private"),
            (#"{"runtime":"runsc"}"#, "config.berth.runtime"), (#"{"profile":"untrusted","trace":true}"#, "config.berth.trace"),
        ] {
            let body = #"{"config":{"image":"\#(FakeImages.digest)","berth":\#(own)}}"#
            #expect { _ = try CreateMachineRequest(Array(body.utf8)) } throws: { ($0 as? MachineFailure)?.field == field }
        }
    }

    private func config(_ change: (inout MachineSpec) -> Void) throws -> (linux: [String: Any], process: [String: Any], mounts: [[String: Any]]) {
        var spec = MachineSpec(machine: "0123456789abcd", boot: "01B", slot: 2, layers: ["/l"], arguments: ["/a", "agent"])
        change(&spec)
        let document = RuntimeConfig(spec: spec, cgroupPath: "/berth-x/m", rootfs: "/r", binds: []).document()
        return (
            try #require(document["linux"] as? [String: Any]), try #require(document["process"] as? [String: Any]),
            try #require(document["mounts"] as? [[String: Any]])
        )
    }

    private func families(_ linux: [String: Any]) -> [Int] {
        let rules = (linux["seccomp"] as? [String: Any])?["syscalls"] as? [[String: Any]] ?? []
        return rules.filter { $0["names"] as? [String] == ["socket"] }.compactMap { ($0["args"] as? [[String: Any]])?.first?["value"] as? Int }
    }

    @Test("an untrusted machine has fewer kinds of sockets, descriptors and shared memory")
    func tightened() throws {
        let standard = try config { _ in }
        let alone = try config { $0.isUntrusted = true }
        let calling = try config {
            $0.isUntrusted = true
            $0.usesNetwork = true
        }
        #expect(families(standard.linux) == [1, 2, 10, 16] && families(alone.linux) == [1] && families(calling.linux) == [1, 2, 10])
        let files = (alone.process["rlimits"] as? [[String: Any]])?.first { $0["type"] as? String == "RLIMIT_NOFILE" }
        #expect(files?["hard"] as? Int == 1_024)
        let shm = alone.mounts.first { $0["destination"] as? String == "/dev/shm" }?["options"] as? [String]
        #expect(shm?.contains("size=1m") == true)
    }

    @Test("what a host has not is left out of the document, and nothing else")
    func without() throws {
        let whole = try config { _ in }
        let less = try config { $0.without = ["seccomp", "cgroup-pids", "cgroup-cpu"] }
        #expect(Set(whole.linux.keys).subtracting(less.linux.keys) == ["seccomp"])
        let (all, some) = (whole.linux["resources"] as? [String: Any], less.linux["resources"] as? [String: Any])
        #expect(Set(all?.keys.map { $0 } ?? []).subtracting(some?.keys.map { $0 } ?? []) == ["cpu", "pids"])
    }
}

/// The same from inside of real machines, and machines that another runtime makes.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct ProfileRealTests {
    @Test("an untrusted machine can make no socket of the network, and none to ask the kernel about interfaces")
    func sockets() async throws {
        try await withOCIHost { host in
            let script = "b ip link >/dev/null 2>&1 && echo netlink; b ifconfig lo >/dev/null 2>&1 && echo inet; ulimit -Hn; b df -k /dev/shm | b tail -1"
            let standard = try await host.run(host.spec(script)).lines
            #expect(standard.contains("netlink") && standard.contains("inet") && standard.contains("4096"), "\(standard)")
            var spec = host.spec(script)
            spec.isUntrusted = true
            let alone = try await host.run(spec).lines
            #expect(!alone.contains("netlink") && !alone.contains("inet") && alone.contains("1024"), "\(alone)")
            #expect(alone.contains { $0.contains(" 1024 ") && $0.hasSuffix("/dev/shm") }, "\(alone)")
        }
    }

    @Test("a machine of another runtime is started, adopted and removed by that one", .enabled(if: OCITestHost.hasRunc))
    func otherRuntime() async throws {
        let runc = try #require(OCITestHost.runc)
        try await withOCIHost { host in
            // As images have it.
            try Files.makeDirectories(host.directory + "/state/layer/tmp", mode: 0o755)
            var spec = host.spec("b stat -c %a /tmp; trap 'exit 5' TERM; echo up; while :; do b sleep 0.02; done")
            spec.runtimePath = runc
            _ = try await host.runtime.create(spec)
            try await host.runtime.start(spec.machine, boot: spec.boot)
            // runc's own state, which crun could not read.
            #expect(Files.status("\(host.configuration.runtimeRoot)/\(spec.machine)-\(spec.boot)/state.json") != nil)
            _ = try await eventually("its line") { host.runtime.log.tail(spec.machine, lines: 1) == "up\n" ? true : nil }
            #expect(host.runtime.log.tail(spec.machine, lines: 2) == "1777\nup\n")
            #expect(await host.runtime.adopt(spec.machine, boot: spec.boot)?.isStarted == true)
            try await host.runtime.signal(spec.machine, boot: spec.boot, SIGTERM)
            #expect(try await host.exit(of: spec.boot).code == 5)
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            #expect(host.leftovers() == [])
        }
    }
}

/// Runtimes are usable when they have booted a machine, and only as they were then.
@Suite(.enabled(if: OCITestHost.hasRunc, "needs root, crun, runc and busybox-static"))
struct RuntimeTrialTests {
    private static let agent = Repository.binary("berth-agent")

    /// The file itself: what is copied of a link is the link.
    private static var runc: String {
        get throws { URL(fileURLWithPath: try #require(OCITestHost.runc)).resolvingSymlinksInPath().path }
    }

    private func inFolder(_ body: (String) async throws -> Void) async throws {
        let folder = "/var/tmp/berth-runtimes-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        try Files.makeDirectories(folder, mode: 0o755)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    @Test("one that boots a machine whose agent answers is noted; it is not the same any more when it changes")
    func usable() async throws {
        try await inFolder { folder in
            let copy = folder + "/another"
            try FileManager.default.copyItem(atPath: try Self.runc, toPath: copy)
            chmod(copy, 0o755)
            let tried = TriedRuntimes(directory: folder)
            #expect { try tried.check(copy) } throws: { ($0 as? MachineFailure)?.code == "runtime_not_tried" }
            #expect(try await RuntimeTrial.run(runtime: copy, agentPath: Self.agent, state: folder) > 0)
            try tried.check(copy)
            #expect(try FileManager.default.contentsOfDirectory(atPath: "/run").filter { $0.hasPrefix("berth-trial-\(getpid())-") }.isEmpty)
            try Files.write(copy, Array("#!/bin/sh\n".utf8), mode: 0o755)
            #expect { try tried.check(copy) } throws: { ($0 as? MachineFailure)?.message.contains("not the program any more") == true }
        }
    }

    @Test("one that only says its version is not usable, nor one that others than root may change")
    func unusable() async throws {
        try await inFolder { folder in
            let fake = folder + "/fake"
            try Files.write(fake, Array("#!/bin/sh\necho fake 1.0\n".utf8), mode: 0o755)
            chmod(fake, 0o755)
            await #expect(throws: (any Error).self) { _ = try await RuntimeTrial.run(runtime: fake, agentPath: Self.agent, state: folder) }
            #expect(throws: MachineFailure.self) { try TriedRuntimes(directory: folder).check(fake) }
            let open = folder + "/open"
            try FileManager.default.copyItem(atPath: try Self.runc, toPath: open)
            chmod(open, 0o777)
            await #expect(throws: RuntimeTrial.Failure.self) { _ = try await RuntimeTrial.run(runtime: open, agentPath: Self.agent, state: folder) }
        }
    }

    /// Whoever owns a folder on the way, or may write into it, can put another program in its place.
    @Test("one in a folder that others can change is none, on whatever way")
    func elsewhere() async throws {
        try await inFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/own/bin", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
            let program = folder + "/own/bin/crun"
            try Files.write(program, Array("#!/bin/sh\n".utf8), mode: 0o755)
            chmod(program, 0o755)
            symlink(folder + "/own", folder + "/way")
            let isRoots = TriedRuntimes.mark("/bin/sh") != nil
            #expect(isRoots, "the host's own is")
            #expect(TriedRuntimes.mark(program) != nil && TriedRuntimes.mark(folder + "/way/bin/crun") != nil)
            // A link in the middle of the way is somebody else's.
            mkdir(folder + "/eves", 0o755)
            symlink(folder + "/own", folder + "/eves/link")
            symlink("eves/link", folder + "/long")
            #expect(TriedRuntimes.mark(folder + "/long/bin/crun") != nil)
            lchown(folder + "/eves/link", 65_534, 65_534)
            #expect(TriedRuntimes.mark(folder + "/long/bin/crun") == nil)
            chown(folder + "/own", 65_534, 65_534)
            #expect(TriedRuntimes.mark(program) == nil && TriedRuntimes.mark(folder + "/way/bin/crun") == nil)
            chown(folder + "/own", 0, 0)
            chmod(folder + "/own/bin", 0o777)
            #expect(TriedRuntimes.mark(program) == nil)
        }
    }
}
