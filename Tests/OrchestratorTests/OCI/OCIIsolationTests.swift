import Foundation
import Glibc
import Testing

@testable import Orchestrator

/// What a program finds inside a machine, layer by layer.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCIIsolationTests {
    @Test("capabilities, no-new-privileges, seccomp, user ids, network, root and /sys are as configured")
    func insideView() async throws {
        try await withOCIHost { host in
            let spec = host.spec(
                """
                b grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status
                echo uidmap $(b cat /proc/self/uid_map)
                echo net $(b tail -n +3 /proc/net/dev | b cut -d: -f1)
                b touch /etc/x 2>/dev/null && echo root-writable
                b touch /tmp/x && echo tmp-writable
                b cp /bin/busybox /tmp/b; /tmp/b true 2>/dev/null && echo tmp-executable
                b ls /sys 2>/dev/null | b wc -l
                b unshare -r b true 2>/dev/null && echo unshared
                b mount -t tmpfs x /tmp 2>/dev/null && echo mounted
                b mknod /tmp/d c 1 1 2>/dev/null && echo device
                echo host $(b hostname)
                echo oom $(b cat /proc/self/oom_score_adj)
                echo pid $$
                """)
            let (lines, exit) = try await host.run(spec)
            let base = MachineSpec.uidBase(slot: spec.slot)
            #expect(exit.code == 0)
            // CAP_KILL (5), CAP_SETGID (6), CAP_SETUID (7).
            let status = Dictionary(
                uniqueKeysWithValues: lines.filter { $0.contains(":\t") }.map { ($0.split(separator: ":")[0], $0.split(separator: "\t").last) })
            #expect(status["CapEff"] == "00000000000000e0")
            #expect(status["CapPrm"] == "00000000000000e0")
            #expect(status["CapBnd"] == "00000000000000e0")
            #expect(status["CapInh"] == "0000000000000000")
            #expect(status["CapAmb"] == "0000000000000000")
            #expect(status["NoNewPrivs"] == "1")
            #expect(status["Seccomp"] == "2")
            #expect(lines.contains("uidmap 0 \(base) 65536"))
            #expect(lines.contains("net lo"))
            #expect(lines.contains("tmp-writable"))
            #expect(lines.contains("0"), "/sys is empty")
            #expect(lines.contains("host \(spec.machine)"))
            #expect(lines.contains("oom 500"))
            #expect(lines.contains("pid 1"))
            for refused in ["root-writable", "tmp-executable", "unshared", "mounted", "device"] { #expect(!lines.contains(refused)) }
        }
    }

    @Test("descriptors 3 (door), 4 (boot document) and 5 (what the kernel counts of its memory, to read) arrive, and no other")
    func descriptors() async throws {
        try await withOCIHost { host in
            var list = host.spec("")
            list.arguments = ["/bin/busybox", "ls", "-l", "/proc/self/fd"]
            let targets = try await host.run(list).lines.compactMap { line -> String? in
                // `… 3 -> socket:[123]`
                let words = line.split(separator: " ")
                return words.firstIndex(of: "->").map { "\(words[$0 - 1]) \(words[$0 + 1])" }
            }
            let expected = ["0 pipe:", "1 /", "2 /", "3 socket:", "4 /memfd:boot", "5 /"]
            #expect(targets.count == expected.count, "\(targets)")
            #expect(targets.contains { $0.hasPrefix("5 ") && ($0.hasSuffix("/memory.oom_control") || $0.hasSuffix("/memory.events")) }, "\(targets)")
            for prefix in expected { #expect(targets.contains { $0.hasPrefix(prefix) }, "\(prefix) in \(targets)") }

            let read = host.spec("b cat <&4; echo; b cat && echo eof")
            #expect(try await host.run(read).lines == ["boot-document", "eof"], "standard input is empty")
        }
    }

    @Test("the door is bound for root and the gateway's group, and takes connections before the machine accepts")
    func door() async throws {
        try await withOCIHost { host in
            let spec = host.spec("b sleep 100")
            _ = try await host.runtime.create(spec)
            let path = try #require(spec.doorPath)
            let status = try #require(Files.status(path))
            #expect(status.st_mode & 0o777 == 0o660)
            #expect(status.st_gid == host.configuration.doorGroup)
            #expect(UnixClient.canConnect(path))
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            #expect(Files.status(path) == nil)
        }
    }

    @Test("the host's /dev/null keeps its owner and mode, and the host sees no mount of a machine")
    func hostUntouched() async throws {
        try await withOCIHost { host in
            let spec = host.spec("b sleep 100")
            _ = try await host.runtime.create(spec)
            try await host.runtime.start(spec.machine, boot: spec.boot)
            let null = try #require(Files.status("/dev/null"))
            #expect(null.st_uid == 0 && null.st_mode & 0o777 == 0o666)
            #expect(try #require(Files.read("/proc/1/mountinfo")).contains(host.configuration.mounts) == false)
            #expect(Files.names(host.configuration.mountPoint(BootName(machine: spec.machine, boot: spec.boot)) + "/rootfs") == [])
        }
    }

    @Test("nothing secret is in the bundle")
    func bundleHoldsNoSecret() async throws {
        try await withOCIHost { host in
            var spec = host.spec("b sleep 100")
            spec.bootDocument = Array("very-secret-key".utf8)
            _ = try await host.runtime.create(spec)
            let bundle = host.configuration.bundle(BootName(machine: spec.machine, boot: spec.boot))
            #expect(Files.status(bundle).map { $0.st_mode & 0o777 } == 0o700)
            for file in ["config.json", "door", "pid", "runtime.log"] {
                #expect(Files.read(bundle + "/" + file)?.contains("very-secret-key") != true)
            }
        }
    }

    @Test("a bind mount is read-only inside even where the image lacks its target")
    func binds() async throws {
        try await withOCIHost { host in
            let shared = host.directory + "/shared"
            try Files.makeDirectories(shared, mode: 0o777)
            try Files.write(shared + "/note", Array("hello".utf8), mode: 0o644)
            chmod(shared + "/note", 0o644)
            var spec = host.spec("b cat /run/berth/note; echo; b touch /run/berth/x 2>/dev/null && echo written; b touch /out/y && echo out")
            spec.binds = [
                BindMount(source: shared, destination: "/run/berth"), BindMount(source: shared, destination: "/out", readOnly: false),
            ]
            let (lines, _) = try await host.run(spec)
            #expect(lines == ["hello", "out"])
        }
    }

    @Test("runc, the fallback, makes the same machine", .enabled(if: OCITestHost.hasRunc, "needs runc"))
    func runc() async throws {
        try await withOCIHost(runtimePath: try #require(OCITestHost.runc)) { host in
            var spec = host.spec("b cat <&4; echo; b id -u; b cat /run/berth/note; echo; b tail -n +3 /proc/net/dev | b cut -d: -f1; exit 7")
            try Files.makeDirectories(host.directory + "/state/shared", mode: 0o755)
            try Files.write(host.directory + "/state/shared/note", Array("hello".utf8))
            chmod(host.directory + "/state/shared/note", 0o644)
            spec.binds = [BindMount(source: host.directory + "/state/shared", destination: "/run/berth")]
            let (lines, exit) = try await host.run(spec)
            #expect(lines.map { $0.trimmingCharacters(in: .whitespaces) } == ["boot-document", "0", "hello", "lo"])
            #expect(exit.code == 7)
        }
    }
}

enum UnixClient {
    static func connect(_ path: String) -> Int32? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard result == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    static func canConnect(_ path: String) -> Bool {
        guard let descriptor = connect(path) else { return false }
        close(descriptor)
        return true
    }
}
