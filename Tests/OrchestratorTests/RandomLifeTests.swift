import Foundation
import Glibc
import MachineAPI
import NIOPosix
import Testing
import TestSupport

@testable import Orchestrator

/// Machines made, started, suspended, stopped, restarted and destroyed at random, while the orchestrator is killed at random: afterwards
/// there is nothing that no row knows, and with the rows nothing at all. `BERTH_MACHINES=1000` says how many (80 without it),
/// `BERTH_SEED=n` repeats the choices; the moments are the kernel's.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct RandomLifeTests {
    @Test("whatever is asked for and whenever the orchestrator dies, nothing is orphaned")
    func nothingStays() async throws {
        let variables = ProcessInfo.processInfo.environment
        let wanted = variables["BERTH_MACHINES"].flatMap(Int.init) ?? 80
        let seed = variables["BERTH_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 1...1_000_000)
        var random = SplitMix(state: seed)
        let directory = "/tmp/berth-rec-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        try Files.makeDirectories(directory, mode: 0o755)
        var (kills, made) = (0, 0)
        while made < wanted {
            let victim = try ChildProcess(
                "/proc/self/exe", ["--filter", "RandomLifeVictim", "--testing-library", "swift-testing"],
                environment: variables.merging([RandomVictimRole.variable: "\(directory) \(random.next() >> 1)"]) { $1 }.map { "\($0.key)=\($0.value)" },
                stdio: (-1, -1, -1))
            // The moment varies: that is what is tested.
            try await Task.sleep(for: .milliseconds(400 + Int(random.next() % 2_500)))
            kill(victim.pid, SIGKILL)
            let status = try await NIOThreadPool.singleton.runIfActive { try victim.wait(timeout: .seconds(60)) }
            #expect(status.signal == SIGKILL, "seed \(seed): it ended by itself: \(status)")
            kills += 1
            made = Int(Files.status(directory + "/made")?.st_size ?? 0)
            guard kills < 2_000 else { break }
        }

        let successor = try RealHost(directory: directory)
        try await successor.reconciler.begin()
        _ = try await eventually("every machine stands still or runs") {
            try await successor.store.machines().allSatisfy { !$0.state.isTransient } ? true : nil
        }
        #expect(try await successor.leftovers() == [], "seed \(seed), after \(kills) kills: what no row knows")
        let left = try await successor.store.machines()
        for machine in left { try await successor.reconciler.destroy(machine.id) }
        #expect(try await successor.store.boots().isEmpty)
        #expect(try await successor.runtime.survey().isEmpty)
        print("random life: \(made) machines, \(kills) kills of the orchestrator, \(left.count) left at the end; seed \(seed)")
        try await successor.close()
        #expect(Files.status(directory) == nil)
        #expect(!(Files.read("/proc/self/mountinfo", limit: 8 << 20) ?? "").contains(directory))
        #expect(!(Files.read("/proc/net/unix", limit: 8 << 20) ?? "").contains(directory))
        let name = (directory as NSString).lastPathComponent
        for hierarchy in Files.names("/sys/fs/cgroup") { #expect(Files.status("/sys/fs/cgroup/\(hierarchy)/\(name)") == nil, "\(hierarchy)") }
    }
}

private enum RandomVictimRole {
    static let variable = "BERTH_RANDOM_VICTIM"
    /// Directory and seed.
    static let words = ProcessInfo.processInfo.environment[variable]?.split(separator: " ").map(String.init)
}

/// The orchestrator that is killed: it is asked for something every few milliseconds until then.
@Suite(.enabled(if: RandomVictimRole.words != nil, "started by RandomLifeTests"))
struct RandomLifeVictim {
    private static let most = 8

    @Test("asked for this and that")
    func life() async throws {
        let words = try #require(RandomVictimRole.words)
        let host = try RealHost(directory: words[0])
        try await host.reconciler.begin()
        var random = SplitMix(state: UInt64(words[1]) ?? 0)
        // A byte for each: whoever kills this process counts them.
        let counter = open(words[0] + "/made", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        await withTaskGroup(of: Void.self) { group in
            while !Task.isCancelled {
                let machines = ((try? await host.store.machines()) ?? []).filter { $0.desired != .destroyed }
                let choice = random.next() % 8
                let number = random.next()
                if machines.isEmpty || choice < 3 && machines.count < Self.most {
                    group.addTask {
                        guard (try? await host.create("m\(number)")) != nil else { return }
                        _ = write(counter, [1], 1)
                    }
                } else {
                    let id = machines[Int(number % UInt64(machines.count))].id
                    group.addTask {
                        switch choice {
                        case 3: try? await host.reconciler.send(.stop(source: "user"), to: id)
                        case 4: try? await host.reconciler.send(.restart(source: "user"), to: id)
                        case 5: try? await host.reconciler.send(.suspend(source: "user"), to: id)
                        case 6: try? await host.reconciler.send(.start(source: "user"), to: id)
                        default: try? await host.reconciler.destroy(id)
                        }
                    }
                }
                try? await Task.sleep(for: .milliseconds(5 + Int(random.next() % 60)))
            }
        }
    }
}
