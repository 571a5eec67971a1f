import JSONText
import MachineAPI
import Testing

@testable import Gateway

@Suite("image test: what was refused")
struct TrialRefusalTests {
    private let log = """
        info: serving machine 1 boot 2
        info: [7] berth-trace: path openat EROFS /etc/a b
        info: [7] berth-trace: path openat EROFS /etc/a b
        info: [7] berth-trace: call unshare EPERM
        info: [7] berth-trace: absent openat ENOENT /home/me/x\u{1B}[2J
        info: [7] berth-trace: host openat EPERM evil.example
        info: [7] berth-trace: path
        info: [7] berth-trace: wonder openat EPERM x
        info: [7] berth-trace: x
        info: [7] its own words
        """

    @Test func aLogTellsEachOnce() {
        let found = TrialRefusal.all(inLog: log)
        #expect(found.map(\.kind) == [.path, .call, .absent] && found.map(\.subject) == ["/etc/a b", "unshare", "/home/me/x\u{FFFD}[2J"])
        #expect(found.first?.call == "openat" && found.first?.error == "EROFS")
        #expect(TrialRefusal.without(log).split(separator: "\n") == ["info: serving machine 1 boot 2", "info: [7] its own words"])
        #expect(TrialRefusal.all(inLog: (0..<1_000).map { "berth-trace: path openat EROFS /\($0)" }.joined(separator: "\n")).count == 256)
    }

    @Test func anEndedMachinesLogTellsItsHosts() {
        let log = """
            warning: egress refused: api.example is not on the list; to allow it along with the others: --egress api.example
            warning: egress refused: api.example is not on the list; to allow it along with the others: --egress api.example
            warning: egress refused: 192.0.2.7:443 is an address, and only names can be allowed
            info: [7] warning: egress refused: forged.example is not on the list
            warning: egress refused: alone
            """
        let found = TrialRefusal.hosts(inLog: log)
        #expect(found.map(\.subject) == ["api.example", "192.0.2.7:443"] && found.map(\.option) == ["--egress api.example", nil])
        #expect(found.first?.reason == "is not on the list")
    }

    @Test func aTrialTellsThemWhetherItFailsOrNot() async throws {
        let fixture = try ProvisioningFixture()
        fixture.machines.state.withLockedValue { state in
            state.log = log
            state.refusedHosts = [RefusedHost(host: "a.example", port: 443, reason: "not_listed", count: 2, option: "--egress a.example")]
        }
        var request = ConnectorRequest(name: "x", source: ImageSource(pypi: "server"))
        let said = Locked<JSONValue>(.null)
        #expect(await fixture.plane.trial(request) { event in said.withLockedValue { $0 = event.json } } == nil)
        #expect(said.withLockedValue { $0 }["refused"] == nil, "nobody asked for it")
        request.trace = true
        #expect(await fixture.plane.trial(request) { event in said.withLockedValue { $0 = event.json } } == nil)
        let refused = said.withLockedValue { $0 }["refused"]?.arrayValue ?? []
        #expect(refused.count == 4 && refused.first?["subject"] == "a.example:443" && refused.first?["option"] == "--egress a.example")
        // It is followed, and its names are asked of somebody who tells.
        let config = try #require(fixture.machines.state.withLockedValue { $0.made.last?.config })
        #expect(config.berth?.trace == true && config.berth?.egress == ["nothing.invalid"])
        #expect(fixture.machines.state.withLockedValue { $0.made.first?.config.berth?.trace } == nil)
    }
}
