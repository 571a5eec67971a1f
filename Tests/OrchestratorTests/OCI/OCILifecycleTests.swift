import Foundation
import Glibc
import Testing

@testable import Orchestrator

/// How machines end, stay and go.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCILifecycleTests {
    @Test("an exit code and a signal are told as such")
    func exits() async throws {
        try await withOCIHost { host in
            let (_, exit) = try await host.run(host.spec("exit 7"))
            #expect(exit.code == 7 && exit.signal == nil && !exit.oomKilled)

            let spec = host.spec("trap 'exit 3' TERM; echo up; while :; do b sleep 0.01; done")
            _ = try await host.runtime.create(spec)
            let lines = Collected<String>()
            host.runtime.log.observe(spec.machine, boot: spec.boot) { lines.append($0) }
            try await host.runtime.start(spec.machine, boot: spec.boot)
            _ = try await eventually("start") { lines.values.contains("up") ? true : nil }
            try await host.runtime.signal(spec.machine, boot: spec.boot, SIGTERM)
            #expect(try await host.exit(of: spec.boot).code == 3)

            let killed = host.spec("b sleep 100")
            _ = try await host.runtime.create(killed)
            try await host.runtime.start(killed.machine, boot: killed.boot)
            try await host.runtime.kill(killed.machine, boot: killed.boot)
            #expect(try await host.exit(of: killed.boot).signal == SIGKILL)
            #expect(try await host.exit(of: killed.boot).oomKilled == false)
        }
    }

    @Test("a signal to a machine that is gone is refused, not sent to whoever has its pid")
    func signalAfterEnd() async throws {
        try await withOCIHost { host in
            let spec = host.spec("exit 0")
            _ = try await host.run(spec)
            await #expect(throws: OCIError.self) { try await host.runtime.signal(spec.machine, boot: spec.boot, SIGTERM) }
        }
    }

    @Test("a memory bomb ends its machine and is named")
    func memoryBomb() async throws {
        try await withOCIHost { host in
            var spec = host.spec("")
            spec.arguments = ["/bin/busybox", "tail", "/dev/zero"]
            let (_, exit) = try await host.run(spec)
            #expect(exit.signal == SIGKILL)
            #expect(exit.oomKilled)
        }
    }

    @Test("who starts processes without end stops at the limit, and all of them leave with the machine")
    func processesWithoutEnd() async throws {
        try await withOCIHost { host in
            // A shell dies of the limit, and of many all may at once, before anybody looks: one starts them all, and what it started stays.
            var spec = host.spec("(while :; do b sleep 600 & done); exec /bin/busybox sleep 600")
            spec.limits.pids = 32
            _ = try await host.runtime.create(spec)
            try await host.runtime.start(spec.machine, boot: spec.boot)
            _ = try await eventually("the limit") {
                await host.runtime.statistics(spec.machine, boot: spec.boot).flatMap { $0.pids >= 30 ? true : nil }
            }
            let used = try #require(await host.runtime.statistics(spec.machine, boot: spec.boot))
            #expect(used.pids <= 32)
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            #expect(host.leftovers() == [])
        }
    }

    @Test("a flood of output is dropped, said so, and does not stop the machine")
    func flood() async throws {
        try await withOCIHost { host in
            let (lines, exit) = try await host.run(host.spec("b yes 0123456789012345678901234567890123456789 | b head -c 20000000; echo done"))
            #expect(exit.code == 0)
            #expect(lines.count < 200_000)
            let spec = host.spec("echo after")
            _ = try await host.run(spec)
            #expect(host.runtime.log.tail(spec.machine, lines: 1) == "after\n")
            let files = ["", ".1"].compactMap { Files.status("\(host.configuration.logs)/\(spec.machine).log\($0)")?.st_size }
            #expect(files.reduce(0, +) <= 2 << 20)
        }
    }

    @Test("processor time can be changed while the machine runs")
    func update() async throws {
        try await withOCIHost { host in
            let spec = host.spec("b sleep 100")
            _ = try await host.runtime.create(spec)
            try await host.runtime.update(spec.machine, boot: spec.boot, cpus: 0.25)
            let directory = try #require(host.runtime.cgroups.directory("cpu", "\(host.configuration.cgroupPrefix)/\(spec.machine)-\(spec.boot)"))
            let text = Files.read(directory + "/cpu.cfs_quota_us") ?? Files.read(directory + "/cpu.max") ?? ""
            #expect(text.hasPrefix("25000"))
        }
    }

    @Test("removal can be repeated, and is no error for what never was")
    func removalIsIdempotent() async throws {
        try await withOCIHost { host in
            let spec = host.spec("b sleep 100")
            _ = try await host.runtime.create(spec)
            for _ in 0..<3 { try await host.runtime.remove(spec.machine, boot: spec.boot) }
            try await host.runtime.remove("ffffffffffffff", boot: "01NEVER")
            #expect(try await host.runtime.survey().isEmpty)
        }
    }

    @Test("what cannot be made throws and leaves nothing")
    func failedCreate() async throws {
        try await withOCIHost { host in
            var noProgram = host.spec("")
            noProgram.arguments = ["/no/such/program"]
            var noLayer = host.spec("")
            noLayer.layers = [host.directory + "/missing"]
            var longPath = host.spec("")
            longPath.doorPath = host.configuration.runDirectory + "/doors/" + String(repeating: "x", count: 120)
            for spec in [noLayer, longPath, noProgram] {
                await #expect(throws: OCIError.self) {
                    _ = try await host.runtime.create(spec)
                    try await host.runtime.start(spec.machine, boot: spec.boot)
                }
                try await host.runtime.remove(spec.machine, boot: spec.boot)
                #expect(host.leftovers() == [])
            }
        }
    }

    @Test("ids that are no plain words are refused before anything is touched", arguments: ["../x", "a/b", "", "a-b"])
    func ids(_ machine: String) async throws {
        try await withOCIHost { host in
            var spec = host.spec("")
            spec.machine = machine
            let bad = spec
            await #expect(throws: OCIError.self) { _ = try await host.runtime.create(bad) }
            await #expect(throws: OCIError.self) { try await host.runtime.remove(bad.machine, boot: bad.boot) }
        }
    }
}
