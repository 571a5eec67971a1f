import Foundation
import Glibc
import Testing

@testable import Orchestrator

/// Things killed at the worst moment: nothing may be left, and what runs goes on.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCICrashTests {
    @Test("a runtime killed in the middle of create leaves nothing after removal, in any hierarchy", arguments: 1...30)
    func runtimeKilledInCreate(milliseconds: Int) async throws {
        let crun = try #require(OCIConfiguration.runtimeCandidates.first { $0.hasSuffix("/crun") && access($0, X_OK) == 0 })
        let wrapper = "/tmp/berth-crun-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(wrapper, mode: 0o700)
        defer { try? Files.removeTree(wrapper) }
        // `timeout` keeps every descriptor as it is; other verbs run whole.
        let script = """
            #!/bin/sh
            case "$*" in *" create "*) exec timeout -s KILL 0.0\(milliseconds < 10 ? "0" : "")\(milliseconds) \(crun) "$@";; esac
            exec \(crun) "$@"

            """
        try Files.write(wrapper + "/crun", Array(script.utf8), mode: 0o700)
        try await withOCIHost(runtimePath: wrapper + "/crun") { host in
            for _ in 0..<2 {
                let spec = host.spec("b sleep 100")
                do {
                    _ = try await host.runtime.create(spec)
                    try await host.runtime.remove(spec.machine, boot: spec.boot)
                } catch is OCIError {}
                #expect(host.leftovers() == [])
            }
        }
    }

    @Test(
        "an orchestrator killed at any point leaves what its successor finds and removes",
        arguments: [
            "create.before-bundle", "bundle", "create.after-mount", "create.after-runtime", "start.before", "start.after",
            "remove.after-runtime", "remove.after-kill", "remove.after-cgroups",
        ])
    func orchestratorKilled(point: String) async throws {
        let host = try OCITestHost()
        let directory = host.directory
        host.abandon()
        // A process of its own, not an exit test: those reap any child of this process, which has machines for children.
        let environment = ProcessInfo.processInfo.environment.merging([
            "BERTH_FAILPOINT": point, VictimRole.variable: directory,
        ]) { $1 }
        let victim = try ChildProcess(
            "/proc/self/exe", ["--filter", "OCIVictim", "--testing-library", "swift-testing"],
            environment: environment.map { "\($0.key)=\($0.value)" }, stdio: (-1, -1, -1))
        let status = try victim.wait(timeout: .seconds(120))
        #expect(status.signal == SIGKILL)
        let successor = try OCITestHost(directory: directory)
        let found = try await successor.runtime.survey()
        #expect(found.isEmpty == (point == "create.before-bundle"))
        try await successor.close()
    }

    @Test("a successor adopts what runs, reads on in its log, and learns of its end")
    func adoption() async throws {
        let first = try OCITestHost()
        let spec = first.spec("trap 'echo bye; exit 4' TERM; while :; do echo tick; b sleep 0.01; done")
        let created = try await first.runtime.create(spec)
        try await first.runtime.start(spec.machine, boot: spec.boot)
        first.abandon()

        let second = try OCITestHost(directory: first.directory)
        #expect(try await second.runtime.survey().map(\.boot) == [spec.boot])
        let adopted = try #require(await second.runtime.adopt(spec.machine, boot: spec.boot))
        #expect(adopted.pid == created.pid && adopted.isStarted)
        #expect(await second.runtime.adopt(spec.machine, boot: "01OTHER") == nil)
        #expect(UnixClient.canConnect(try #require(spec.doorPath)), "the door outlives its maker")
        let lines = Collected<String>()
        second.runtime.log.observe(spec.machine, boot: spec.boot) { lines.append($0) }
        _ = try await eventually("ticks") { lines.values.contains("tick") ? true : nil }
        try await second.runtime.signal(spec.machine, boot: spec.boot, SIGTERM)
        #expect(try await second.exit(of: spec.boot).boot == spec.boot)
        #expect(lines.values.last == "bye")
        try await second.close()
    }

    @Test("a machine that was created and not started is told apart")
    func adoptionOfCreated() async throws {
        let first = try OCITestHost()
        let spec = first.spec("b sleep 100")
        _ = try await first.runtime.create(spec)
        first.abandon()
        let second = try OCITestHost(directory: first.directory)
        let adopted = try #require(await second.runtime.adopt(spec.machine, boot: spec.boot))
        #expect(!adopted.isStarted)
        try await second.close()
    }
}

/// How `orchestratorKilled` tells its child process what to be.
private enum VictimRole {
    static let variable = "BERTH_OCI_VICTIM"
    static let directory = ProcessInfo.processInfo.environment[variable]
}

/// The orchestrator that `orchestratorKilled` kills: this suite in a process of its own.
@Suite(.enabled(if: VictimRole.directory != nil, "started by orchestratorKilled"))
struct OCIVictim {
    @Test("one machine, from create to remove")
    func wholeLife() async throws {
        let directory = try #require(VictimRole.directory)
        let host = try OCITestHost(directory: directory)
        let spec = host.spec("b sleep 100")
        _ = try await host.runtime.create(spec)
        try await host.runtime.start(spec.machine, boot: spec.boot)
        try await host.runtime.remove(spec.machine, boot: spec.boot)
    }
}
