import CLinux
import Foundation
import Glibc
import Testing

@testable import Orchestrator

@Suite struct OCIHostTests {
    @Test("a command's output and code come back, its time is bounded, and only its tail is kept")
    func commands() async throws {
        let result = try await HostCommand.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 3"])
        #expect(result.code == 3 && result.text == "out\nerr\n")
        let long = try await HostCommand.run("/bin/sh", ["-c", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done"], outputLimit: 10)
        #expect(long.text == "2998\n2999\n")
        await #expect(throws: OCIError.self) { _ = try await HostCommand.run("/bin/sh", ["-c", "sleep 100"], timeout: .milliseconds(50)) }
        await #expect(throws: OCIError.self) { _ = try await HostCommand.run("/no/such/tool", []) }
    }

    @Test("a command inherits neither environment nor descriptors")
    func isolation() async throws {
        let result = try await HostCommand.run(
            "/bin/sh", ["-c", "env | grep -v -e PWD -e SHLVL -e ^_ ; ls /proc/$$/fd"], environment: ["PATH=/usr/bin:/bin"])
        #expect(Set(result.text.split(separator: "\n")).isSubset(of: ["PATH=/usr/bin:/bin", "0", "1", "2", "3", "10"]))
    }

    @Test("what is missing on a host comes with a remedy")
    func capabilities() async {
        let host = await HostCapabilities.probe(runtimePath: "/no/such/runtime")
        let runtime = host.layers.first { $0.name == "oci-runtime" }
        #expect(runtime?.state == .missing)
        #expect(host.blocking.contains { $0.name == "oci-runtime" })
        for layer in host.layers { #expect(layer.remedy.isEmpty == (layer.state == .active), "\(layer.name)") }
        #expect(Set(host.layers.map(\.name)).count == host.layers.count)
    }

    /// Controllers, blocking layers with what they say.
    @Test(
        "a host is judged by its control groups",
        arguments: [
            (CgroupSurvey.Hierarchy.hybrid, "memory cpu pids devices freezer", [String]()),
            (.version1, "memory cpu pids devices freezer", []),
            (.version1, "memory cpu", ["cgroup-pids: version 1"]),
            (.hybrid, "memory cpu pids", []),
            (.version2, "memory cpu pids io cpuset", []),
            (.version2, "cpu pids", ["cgroup-memory: version 2"]),
            (
                .none, "",
                [
                    "cgroup-hierarchy: no control groups are mounted at /sys/fs/cgroup", "cgroup-memory: not mounted", "cgroup-cpu: not mounted",
                    "cgroup-pids: not mounted",
                ]
            ),
        ])
    func cgroups(_ hierarchy: CgroupSurvey.Hierarchy, _ controllers: String, _ blocking: [String]) {
        let survey = CgroupSurvey(
            hierarchy: hierarchy, controllers: Set(controllers.split(separator: " ").map(String.init)), countsSwap: false)
        let host = HostCapabilities(layers: survey.layers)
        #expect(host.blocking.map { "\($0.name): \($0.detail)" } == blocking)
        for layer in host.layers { #expect(layer.remedy.isEmpty == (layer.state == .active), "\(layer.name)") }
        let layout = host.layers.first { $0.name == "cgroup-hierarchy" }
        #expect(layout?.isRequired == true)
        if layout?.state == .missing { #expect(layout?.remedy == "mount -t cgroup2 none /sys/fs/cgroup") }
        let swap = host.layers.first { $0.name == "swap-limit" }
        #expect((swap == nil) == (hierarchy == .version2 || hierarchy == .none))
    }

    @Test("a container whose processes live where machines would be made is told what to do")
    func occupied() {
        var survey = CgroupSurvey(hierarchy: .version2, controllers: ["memory", "cpu", "pids"], countsSwap: true)
        survey.isOccupied = true
        let blocking = HostCapabilities(layers: survey.layers).blocking
        #expect(blocking.map(\.name) == ["cgroup-hierarchy"])
        #expect(blocking.first?.remedy.contains("mkdir /sys/fs/cgroup/init") == true)
    }

    @Test("a file system that is a module counts, and one that the kernel has not does not")
    func fileSystems() {
        #expect(clinux_knows_file_system("tmpfs") == (geteuid() == 0 ? 1 : -EPERM))
        #expect(clinux_knows_file_system("berthfs") == (geteuid() == 0 ? 0 : -EPERM))
    }

    @Test("this host can make machines", .enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
    func thisHost() async {
        let host = await HostCapabilities.probe()
        #expect(host.blocking == [])
        #expect(
            Set(["user-namespace", "seccomp", "read-only-root", "network-namespace".replacing("network", with: "net")]).isSubset(of: host.isolation))
    }

    @Test("a tree is removed without following its links")
    func removeTree() throws {
        let directory = "/tmp/berth-files-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(directory + "/tree/a", mode: 0o700)
        try Files.makeDirectories(directory + "/kept", mode: 0o700)
        try Files.write(directory + "/kept/file", [1])
        try FileManager.default.createSymbolicLink(atPath: directory + "/tree/a/link", withDestinationPath: directory + "/kept")
        try Files.removeTree(directory + "/tree")
        #expect(Files.names(directory) == ["kept"])
        #expect(Files.names(directory + "/kept") == ["file"])
        try Files.removeTree(directory)
        try Files.removeTree(directory)
    }

    @Test("a process with threads cannot be prepared any more")
    func tooLate() {
        #expect(throws: OCIError.self) { try OCIRuntime.prepareProcess() }
    }
}
