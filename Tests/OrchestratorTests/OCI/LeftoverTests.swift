import CLinux
import Foundation
import Glibc
import MachineAPI
import Testing

@testable import Orchestrator

/// Each kind of leftover, planted and found, and gone with what was planted.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct LeftoverTests {
    /// A range of ids that no installation and no other test gives its machines.
    private let slot = Int.random(in: 61_440..<65_000)

    private func leftovers(_ host: OCITestHost, owned: Set<String> = []) -> [Leftover] {
        Leftovers.scan(configuration: host.configuration, owned: owned, machines: owned.isEmpty ? nil : [], slots: slot..<slot + 1).items
    }

    /// Awaits that just these are there: another test that looks at the same moment holds a namespace open, and is then found with it.
    private func found(
        _ expected: Set<Leftover>, on host: OCITestHost, owned: Set<String> = [], where isMeant: (Leftover) -> Bool = { _ in true }
    ) async throws {
        _ = try await eventually("\(expected)") { Set(leftovers(host, owned: owned).filter(isMeant)) == expected ? true : nil }
    }

    private static func kinds(_ items: [Leftover]) -> Set<Leftover.Kind> { Set(items.map(\.kind)) }

    @Test("a machine without a row is listed in every place where it exists; with a row, or removed, nowhere")
    func machine() async throws {
        try await withOCIHost { host in
            let spec = host.spec("b sleep 100", slot: slot)
            let name = "\(spec.machine)-\(spec.boot)"
            _ = try await host.runtime.create(spec)
            #expect(leftovers(host, owned: [name]) == [], "created, and not started")
            try await host.runtime.start(spec.machine, boot: spec.boot)
            let found = leftovers(host)
            #expect(
                Self.kinds(found).isSuperset(of: [.process, .cgroup, .mount, .namespace, .runtimeState, .bundle, .mountPoint, .socket]), "\(found)")
            // A door is known by its boot alone.
            for item in found where item.kind != .socket { #expect(item.boot == name, "\(item)") }
            let hierarchies = CgroupTree.detect().hierarchies.filter { Files.isDirectory($0.root + host.configuration.cgroupPrefix + "/" + name) }
            #expect(hierarchies.count > 3 && found.filter { $0.kind == .cgroup }.count == hierarchies.count)
            #expect(found.filter { $0.kind == .namespace }.count == 7, "\(found)")
            #expect(leftovers(host, owned: [name]) == [])
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            #expect(leftovers(host) == [])
        }
    }

    @Test("after a clean life nothing is listed, and nothing during it: what there is has a row")
    func cleanLife() async throws {
        try await withRealHost { host in
            func search() async throws -> [Leftover] {
                let places = host.configuration
                return try await OrchestratorService.leftovers(
                    stateDirectory: places.stateDirectory, runDirectory: places.runDirectory, cgroupPrefix: places.cgroupPrefix)
            }
            let machine = try await host.create("m")
            _ = try await host.state(machine.id, .started)
            #expect(try await search() == [])
            _ = try await eventually("its log") { Files.status("\(host.configuration.logs)/\(machine.id).log") != nil ? true : nil }
            try await host.reconciler.send(.restart(source: "user"), to: machine.id)
            #expect(try await search() == [])
            try await host.reconciler.destroy(machine.id)
            _ = try await eventually("the end of its log") { try await search().isEmpty ? true : nil }
        }
    }

    @Test("a namespace that an open descriptor keeps after its machine is listed by the path that holds it")
    func heldNamespace() async throws {
        try await withOCIHost { host in
            let spec = host.spec("b sleep 100", slot: slot)
            let created = try await host.runtime.create(spec)
            try await host.runtime.start(spec.machine, boot: spec.boot)
            let kept = try #require(Files.link("/proc/\(created.pid)/ns/net"))
            let descriptor = open("/proc/\(created.pid)/ns/net", O_RDONLY | O_CLOEXEC)
            #expect(descriptor >= 0)
            #expect(
                leftovers(host, owned: ["\(spec.machine)-\(spec.boot)"]) == [],
                "while its machine lives it is the machine's")
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            let path = "/proc/\(getpid())/fd/\(descriptor)"
            try await found([Leftover(.namespace, path)], on: host)
            #expect(Files.link(path) == kept)
            close(descriptor)
            #expect(leftovers(host) == [])
        }
    }

    @Test("a process in a machine's range of user ids is listed, whatever cgroup it is in; one in another range is not")
    func strayProcess() async throws {
        try await withOCIHost { host in
            let base = MachineSpec.uidBase(slot: slot)
            for (first, isOurs) in [(base, true), (base + 1, false), (MachineSpec.uidBase(slot: slot + 1), false)] {
                let stray = try ChildProcess(
                    "/usr/bin/unshare", ["-U", "-n", "/bin/busybox", "sleep", "600"], environment: [], stdio: (-1, -1, -1))
                defer {
                    kill(stray.pid, SIGKILL)
                    _ = try? stray.wait(timeout: .seconds(120))
                }
                let own = Files.link("/proc/self/ns/net")
                _ = try await eventually("its namespaces") { Files.link("/proc/\(stray.pid)/ns/net") == own ? nil : true }
                #expect(leftovers(host) == [], "without ids it is nobody's")
                try Files.set("/proc/\(stray.pid)/uid_map", "0 \(first) 65536")
                let paths = isOurs ? ["/proc/\(stray.pid)/ns/user", "/proc/\(stray.pid)/ns/net"] : []
                try await found(Set(paths.map { Leftover(.namespace, $0) }), on: host) { $0.kind == .namespace }
            }
            #expect(leftovers(host) == [])
        }
    }

    /// In mount namespaces of their own: one of the test's process would be copied by every other test.
    @Test("a namespace that is mounted somewhere, and a machine's root that only another process has, are listed")
    func mounts() async throws {
        try await withOCIHost { host in
            let (boot, held) = ("0123456789abcd-01LEFT", host.directory + "/held")
            let root = host.configuration.mounts + "/\(boot)/rootfs"
            try Files.makeDirectories(root, mode: 0o711)
            try Files.write(held, [])
            let spec = host.spec("b sleep 100", slot: slot)
            let created = try await host.runtime.create(spec)
            let kept = try #require(Files.link("/proc/\(created.pid)/ns/net"))
            let script = """
                set -e; alias b=/bin/busybox
                b mount --bind /proc/\(created.pid)/ns/net \(held); b mount -t tmpfs none \(root)
                exec /bin/busybox sleep 600
                """
            let holder = try ChildProcess("/usr/bin/unshare", ["-m", "/bin/busybox", "sh", "-c", script], environment: [], stdio: (-1, -1, -1))
            defer {
                kill(holder.pid, SIGKILL)
                _ = try? holder.wait(timeout: .seconds(120))
                try? Files.removeTree(host.configuration.mounts + "/" + boot)
            }
            let mount = Leftover(.mount, root, boot: boot)
            _ = try await eventually("the mounts") { leftovers(host, owned: ["\(spec.machine)-\(spec.boot)"]).contains(mount) ? true : nil }
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            try await found([Leftover(.namespace, "/proc/\(holder.pid)/root\(held)")], on: host, owned: [boot])
            #expect(MountTable.all().contains { $0.mounts.contains { $0.root == kept && $0.point == held } })
            #expect(leftovers(host).contains(mount))
        }
    }

    @Test("a runtime at work on our state is listed, but not one that works on what a row owns")
    func runtimeProcess() async throws {
        try await withOCIHost { host in
            let (root, name) = (host.configuration.runtimeRoot, "0123456789abcd-01WORK")
            let runtime = try ChildProcess(
                "/bin/busybox", ["sh", "-c", "while :; do /bin/busybox sleep 600; done", "--root", root, "create", name],
                environment: [], stdio: (-1, -1, -1))
            defer {
                kill(-runtime.pid, SIGKILL)
                _ = try? runtime.wait(timeout: .seconds(120))
            }
            let expected = Leftover(.runtimeProcess, "\(runtime.pid)", boot: name)
            _ = try await eventually("the process") { leftovers(host) == [expected] ? true : nil }
            #expect(leftovers(host, owned: [name]) == [])
        }
    }

    @Test("an empty parent of the machines' cgroups is listed")
    func emptyParent() async throws {
        try await withOCIHost { host in
            let tree = CgroupTree.detect()
            let directory = try #require(tree.directory("pids", host.configuration.cgroupPrefix))
            #expect(mkdir(directory, 0o755) == 0)
            defer { rmdir(directory) }
            #expect(leftovers(host) == [Leftover(.cgroup, directory)])
            #expect(leftovers(host, owned: ["0123456789abcd-01NEXT"]) == [], "a machine is on its way")
        }
    }
}
