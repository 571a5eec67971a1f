import Foundation
import Testing

@testable import Orchestrator

@Suite struct OCIConfigTests {
    private func config(_ change: (inout MachineSpec) -> Void = { _ in }) throws -> [String: Any] {
        var spec = MachineSpec(machine: "0123456789abcd", boot: "01B", slot: 2, layers: ["/l"], arguments: ["/a", "agent"])
        change(&spec)
        let config = RuntimeConfig(spec: spec, cgroupPath: "/berth-x/m", rootfs: "/r", binds: spec.binds)
        return try #require(try JSONSerialization.jsonObject(with: Data(config.json())) as? [String: Any])
    }

    @Test("every wall stands in the document")
    func walls() throws {
        let document = try config()
        let process = try #require(document["process"] as? [String: Any])
        let linux = try #require(document["linux"] as? [String: Any])
        #expect((document["root"] as? [String: Any])?["readonly"] as? Bool == true)
        #expect(process["noNewPrivileges"] as? Bool == true)
        #expect(process["oomScoreAdj"] as? Int == 500)
        let capabilities = try #require(process["capabilities"] as? [String: [String]])
        for set in ["bounding", "effective", "permitted"] { #expect(capabilities[set] == ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"]) }
        for set in ["inheritable", "ambient"] { #expect(capabilities[set] == []) }
        let namespaces = try #require(linux["namespaces"] as? [[String: String]])
        #expect(Set(namespaces.compactMap { $0["type"] }) == ["pid", "mount", "ipc", "uts", "cgroup", "network", "user"])
        #expect(namespaces.allSatisfy { $0["path"] == nil })
        let mapping = try #require(linux["uidMappings"] as? [[String: Int]])
        #expect(mapping == [["containerID": 0, "hostID": 200_000 + 2 * 65_536, "size": 65_536]])
        #expect(linux["gidMappings"] as? [[String: Int]] == mapping)
        #expect(linux["cgroupsPath"] as? String == "/berth-x/m")
        let mounts = try #require(document["mounts"] as? [[String: Any]])
        #expect(!mounts.contains { $0["destination"] as? String == "/sys" })
        let proc = try #require(mounts.first { $0["destination"] as? String == "/proc" }?["options"] as? [String])
        #expect(proc.contains("hidepid=2") && proc.contains("gid=0"))
        for mount in mounts { #expect((mount["options"] as? [String])?.contains("nosuid") == true) }
    }

    @Test("limits land where both runtimes look for them")
    func limits() throws {
        let document = try config {
            $0.limits = MachineLimits(memoryBytes: 1 << 27, cpus: 0.25, pids: 9, tmpBytes: 1 << 20, files: 100)
        }
        let resources = try #require((document["linux"] as? [String: Any])?["resources"] as? [String: Any])
        #expect(resources["memory"] as? [String: Int] == ["limit": 1 << 27, "swap": 1 << 27])
        #expect(resources["cpu"] as? [String: Int] == ["shares": 256, "quota": 25_000, "period": 100_000])
        #expect(resources["pids"] as? [String: Int] == ["limit": 9])
        let limits = try #require((document["process"] as? [String: Any])?["rlimits"] as? [[String: Any]])
        #expect(limits.first { $0["type"] as? String == "RLIMIT_NOFILE" }?["soft"] as? Int == 100)
        let tmp = try #require((document["mounts"] as? [[String: Any]])?.first { $0["destination"] as? String == "/tmp" }?["options"] as? [String])
        #expect(tmp.contains("size=1048576") && tmp.contains("noexec"))
    }

    @Test("ranges of user ids do not touch")
    func slots() {
        #expect(MachineSpec.uidBase(slot: 0) == 200_000)
        #expect(MachineSpec.uidBase(slot: 8) - MachineSpec.uidBase(slot: 7) == MachineSpec.uidCount)
    }

    @Test(
        "names of boots are read back, and only those",
        arguments: [("0a-01B", true), ("0a", false), ("-", false), ("a-b/c", false), ("a-b-c", false), ("..-x", false)])
    func names(_ text: String, _ isBoot: Bool) {
        #expect((BootName(text) != nil) == isBoot)
        if isBoot { #expect(BootName(text)?.description == text) }
    }

    @Test("layers are named relative to what they share")
    func commonDirectory() {
        #expect(RootFileSystem.commonDirectory(["/a/b/c", "/a/b/d"]) == "/a/b")
        #expect(RootFileSystem.commonDirectory(["/a/b/c", "/x/y"]) == "")
        #expect(RootFileSystem.commonDirectory(["/a/b", "/a/b/c"]) == "/a")
    }
}
