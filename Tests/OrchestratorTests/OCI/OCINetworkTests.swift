import Door
import Foundation
import GRDB
import Glibc
import Logging
import NIOCore
import NIOPosix
import Persistence
import Testing
import Wire

@testable import Orchestrator

/// The network of a machine with a way out, and its relay's folder.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCINetworkTests {
    private static let script = """
        echo net $(b tail -n +3 /proc/net/dev | b cut -d: -f1)
        b ip addr show lo | b grep -q UP && echo lo-up
        b nc -l -p 53 -e /bin/busybox echo answered & b usleep 1
        until b nc -w 60 9.9.9.9 53 2>/dev/null; do :; done
        b nc -w 60 1.1.1.1 444 2>&1
        b ip link set lo down 2>&1 | b grep -q permitted && echo no-down
        b ip route del local default dev lo table local 2>&1 | b grep -q permitted && echo no-route
        b ip link add d0 type dummy 2>&1 | b grep -q permitted && echo no-link
        """

    @Test("every address is the machine's own, and its root can change nothing of that", arguments: [true, false])
    func localNetwork(isCrun: Bool) async throws {
        guard isCrun || OCITestHost.hasRunc else { return }
        try await withOCIHost(runtimePath: isCrun ? "" : OCITestHost.runc ?? "") { host in
            var spec = host.spec(Self.script)
            spec.hasLocalNetwork = true
            let (lines, _) = try await host.run(spec)
            for expected in ["net lo", "lo-up", "answered", "no-down", "no-route", "no-link"] {
                #expect(lines.contains(expected), "\(expected): \(lines)")
            }
            #expect(lines.contains { $0.contains("refused") }, "nobody listens at 1.1.1.1:444: \(lines)")
        }
    }

    @Test("a machine that only answers names has no route and no address but its loopback's, and can bind the name service's port")
    func namesOnly() async throws {
        try await withOCIHost { host in
            var spec = host.spec(
                """
                echo net $(b tail -n +3 /proc/net/dev | b cut -d: -f1)
                b ip route show table all | b grep -c default
                for address in 1.1.1.1 198.18.0.1 10.0.0.1; do b nc -w 60 $address 443 2>&1; done
                b nc -l -p 53 -e /bin/busybox echo answered & b usleep 1
                until b nc -w 60 127.0.0.53 53 2>/dev/null; do :; done
                b ip link set lo down 2>&1 | b grep -q permitted && echo no-down
                b ip route add local default dev lo table local 2>&1 | b grep -q permitted && echo no-route
                """)
            spec.answersNames = true
            let (lines, _) = try await host.run(spec)
            for expected in ["net lo", "0", "answered", "no-down", "no-route"] { #expect(lines.contains(expected), "\(expected): \(lines)") }
            #expect(lines.filter { $0.contains("unreachable") }.count == 3, "\(lines)")
        }
    }

    @Test("a machine without a list has no route, and nothing keeps the namespace of one that had")
    func nothingStays() async throws {
        try await withOCIHost { host in
            let none = host.spec("b nc -w 60 1.1.1.1 444 2>&1; b nc -l -p 53 2>&1 & wait")
            #expect(try await host.run(none).lines.contains { $0.contains("unreachable") })

            var spec = host.spec("b sleep 600")
            spec.hasLocalNetwork = true
            let created = try await host.runtime.create(spec)
            let name = try #require(Files.link("/proc/\(created.pid)/ns/net"))
            #expect(name != Files.link("/proc/self/ns/net"))
            let holders = Self.holders(of: name)
            #expect(holders.allSatisfy { $0.hasPrefix("/proc/\(created.pid)/") }, "the machine alone holds it: \(holders)")
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            #expect(Self.holders(of: name) == [])

            spec.boot += "2"
            spec.arguments = []
            await #expect(throws: OCIError.self) { try await host.runtime.create(spec) }
            spec.arguments = ["/nonexistent"]
            let before = Self.namespaces()
            await #expect(throws: OCIError.self) { try await host.runtime.create(spec) }
            #expect(Self.namespaces().subtracting(before) == [], "a failed create keeps none either")
        }
    }

    /// Network namespaces that this process holds open.
    private static func namespaces() -> Set<String> {
        Set(Files.names("/proc/self/fd").compactMap { Files.link("/proc/self/fd/\($0)") }.filter { $0.hasPrefix("net:[") })
    }

    private static func holders(of namespace: String) -> [String] {
        HostProcesses.all().flatMap { pid -> [String] in
            let links = ["ns/net"] + Files.names("/proc/\(pid)/fd").map { "fd/\($0)" }
            return links.map { "/proc/\(pid)/\($0)" }.filter { Files.link($0) == namespace }
        }
    }

    @Test("the next orchestrator's relay answers in the folder that a machine has bound; closing removes socket and folder")
    func adoptedRelay() async throws {
        let directory = "/tmp/berth-relays-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(directory, mode: 0o711)
        defer { try? Files.removeTree(directory) }
        var logger = Logger(label: "relays-test")
        logger.logLevel = .critical
        let list = try EgressList(["api.example.com", "localhost"])
        let store = try EgressBookTests.store(in: directory + "/state")
        try await store.add(app: "web")
        let first = MachineRelays(directory: directory, book: EgressBook(store: store, logger: logger), logger: logger)
        let folder = try await first.open("m", app: "web", slot: 0, list: list)
        // What a bind mount holds on to: the folder itself, not its path.
        let bound = Descriptor(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        await first.shutdown()
        #expect(access(EgressRelay.socket(in: folder), F_OK) == 0)

        let second = MachineRelays(directory: directory, book: EgressBook(store: store, logger: logger), logger: logger)
        #expect(try await second.open("m", app: "web", slot: 0, list: list) == folder)
        var status = stat()
        #expect(fstatat(bound.value, "egress.sock", &status, 0) == 0)
        let base = UInt32(MachineSpec.uidBase(slot: 0))
        #expect(status.st_uid == base && status.st_mode & 0o777 == 0o600)
        // Root is not the machine's agent either.
        let descriptor = try #require(UnixClient.connect("/proc/self/fd/\(bound.value)/egress.sock"))
        _ = try await eventually("the refusal") { try await second.counts(of: "web").first { $0.place.verdict == "foreign_peer" } }
        close(descriptor)
        await second.close("m")
        #expect(access(folder, F_OK) != 0)
        await second.close("m")
        await second.shutdown()
        try store.database.pool.close()
    }

    @Test("at a start the folders of living machines stay, and no others")
    func leftoversOfRelays() throws {
        let directory = "/tmp/berth-run-\(UInt32.random(in: 0 ... .max))"
        let configuration = OrchestratorConfiguration(
            stateDirectory: directory + "/state", runDirectory: directory + "/run", cgroupPrefix: "/berth-x", gatewayUID: 0, gatewayGID: 0,
            agentPath: "")
        for name in ["living", "job", "gone"] { try Files.makeDirectories("\(configuration.egressDirectory)/\(name)", mode: 0o755) }
        defer { try? Files.removeTree(directory) }
        func boot(_ machine: String, _ kind: BootRecord.Kind, _ slot: Int) -> BootRecord {
            BootRecord(boot: "b\(slot)", machine: machine, kind: kind, slot: slot, door: nil, createdAt: 0)
        }
        try RunDirectories.removeLeftovers(configuration, boots: [boot("living", .machine, 1), boot("job", .job, 2)])
        #expect(Files.names(configuration.egressDirectory) == ["living"])
    }
}

@Suite struct EgressListPolicyTests {
    @Test("no machine takes the others' part, of connections or of turns")
    func shares() throws {
        let share = EgressShare(resolvers: .singleton)
        #expect(share.each >= 8 && share.each <= 128)
        var count = 0
        while share.enter() { count += 1 }
        #expect(count >= 4 * share.each && count <= 4_096)
        share.leave()
        #expect(share.enter() && !share.enter())

        let turns = Turns(limit: 2)
        let begun = Collected<Int>()
        for number in 1...4 { turns.begin { begun.append(number) } }
        #expect(begun.values == [1, 2])
        turns.end()
        #expect(begun.values == [1, 2, 3])
        for _ in 0..<3 { turns.end() }
        turns.begin { begun.append(5) }
        turns.begin { begun.append(6) }
        #expect(begun.values == [1, 2, 3, 4, 5, 6])
    }

    @Test("the relay goes by the list, and only an exception leads to private addresses")
    func policy() throws {
        let policy = EgressPolicy(try EgressList(["api.example.com", "*.example.org:8443"], privateHosts: ["db.internal:5432"]))
        #expect(policy.destination(host: "API.example.com", port: 443)?.reach == .global)
        #expect(policy.destination(host: "a.b.example.org", port: 8443)?.host == "a.b.example.org")
        #expect(policy.destination(host: "db.internal", port: 5432)?.reach == .privateToo)
        for (host, port) in [("api.example.com", 80), ("example.org", 8443), ("db.internal", 443), ("10.0.0.1", 443), ("", 443)] {
            #expect(policy.destination(host: host, port: port) == nil, "\(host):\(port)")
        }
    }

    @Test("an exception opens private networks and this host, and nothing that answers only a link or a cloud's machines")
    func reach() throws {
        let own: Set<IPAddress> = Set(["203.0.113.7", "169.254.3.3", "fe80::7", "10.9.9.9"].compactMap { IPAddress($0) })
        func allowed(_ reach: AddressReach) -> [String] {
            [
                "1.1.1.1", "10.0.0.1", "10.9.9.9", "127.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::1", "203.0.113.7", "203.0.113.8",
                "169.254.169.254", "169.254.3.3", "fe80::7", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "224.0.0.1", "0.0.0.0", "64:ff9b::7f00:1", "::ffff:10.0.0.1",
            ].filter { IPAddress($0).map { AddressPolicy.isAllowed($0, reach: reach, own: own) } ?? false }
        }
        #expect(allowed(.global) == ["1.1.1.1"])
        let excepted = ["10.0.0.1", "10.9.9.9", "127.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::1", "203.0.113.7"]
        #expect(allowed(.privateToo) == ["1.1.1.1"] + excepted)
        #expect((AddressPolicy.privateBlocks + AddressPolicy.neverV4AndV6).allSatisfy { AddressBlock($0) != nil })
    }

    @Test("what the agent refused is counted as it says, within bounds")
    func told() throws {
        let bytes = Array("REFUSED 2606:4700::1:443/literal/12 HTTP/1.1\r\n\r\n".utf8)
        let (request, length) = try #require(try RelayRequest.parse(bytes))
        #expect(request == .refused(EgressRefusal(host: "2606:4700::1", port: 443, reason: .literal), count: 12) && length == bytes.count)
        #expect(try RelayRequest.parse(Array(bytes.dropLast())) == nil)
        #expect(try RelayRequest.parse(Array("CONNECT a:1 HTTP/1.1\r\n\r\n".utf8))?.request == .connect(ConnectRequest(host: "a", port: 1)))
        for bad in [
            "a:443/literal/0", "a:443/nonsense/1", "a/literal/1", "a:70000/literal/1", "a:1/literal", "a\u{1B}:1/literal/1", "a:1/literal/2000000",
        ] {
            #expect(throws: ConnectRequest.MalformedRequest.self) { try RelayRequest.parse(Array("REFUSED \(bad) HTTP/1.1\r\n\r\n".utf8)) }
        }
    }

    @Test("a machine's configuration carries its list; a bad one is refused by its field")
    func configuration() throws {
        func body(_ berth: String) -> [UInt8] { Array(#"{"config":{"image":"\#(FakeImages.digest)","berth":\#(berth)}}"#.utf8) }
        let request = try CreateMachineRequest(body(#"{"egress":["api.example.com"],"egress_private":["db.internal:5432"]}"#))
        #expect(try request.config.egress.all.map(\.description) == ["api.example.com:443", "db.internal:5432"])
        for (berth, field) in [
            (#"{"egress":["10.0.0.1"]}"#, "config.berth.egress"), (#"{"egress_private":["*.a.example"]}"#, "config.berth.egress_private"),
            (#"{"network":"host"}"#, "config.berth.network"),
        ] {
            let failure = #expect(throws: MachineFailure.self) { try CreateMachineRequest(body(berth)) }
            #expect(failure?.field == field)
        }
    }
}
