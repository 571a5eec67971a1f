import JSONText
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

struct IdleBurnTests {
    /// Seconds and how busy it was in the one before; what is answered at last.
    @Test(arguments: [
        ([1, 1, 1, 1], 0, 3), ([0.6, 0.6, 0.6], 0, 2), ([1, 1, 0.1, 1], 0, 1), ([0.4, 0.4, 0.4], 0, 0), ([1, 1, 1, 1], 3, 1), ([1, 1], 2, 0), ([1], 0, 0),
    ] as [([Double], Int, Int)])
    func countsWhatIsBusyForNobody(_ shares: [Double], _ lastRequest: Int, _ seconds: Int) {
        var burn = IdleBurn()
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        var (cpu, found) = (TimeAmount.zero, TimeAmount.zero)
        for (second, share) in shares.enumerated() {
            cpu = cpu + .nanoseconds(Int64(share * 1_000_000_000))
            let now = start + .seconds(Int64(second + 1))
            let request = second + 1 >= lastRequest ? start + .seconds(Int64(lastRequest)) : start
            found = burn.observe(cpu: cpu, lastRequest: request, share: 0.5, now: now)
        }
        #expect(found == .seconds(Int64(seconds)))
    }

    @Test(.tags(.failure05)) func aServerThatSpinsForNobodyIsEnded() async throws {
        try await Rig.hostile(limits: { ($0.burn, $0.burnShare) = (.milliseconds(600), 0.1) }) { rig in
            let pid = try #require(await rig.call("identity").json?["pid"]?.intValue)
            #expect(await rig.call("spin").text == "spinning")
            await eventually("it is ended") { !isAlive(pid) }
            #expect(rig.log.contains { $0.contains("keeps a processor busy") })
            #expect(await rig.call("identity").json?["pid"]?.intValue != pid)
        }
    }

    /// The same without a spin: it lives.
    @Test func aServerThatRestsIsNot() async throws {
        try await Rig.hostile(limits: { ($0.burn, $0.burnShare) = (.milliseconds(200), 0.9) }) { rig in
            let pid = try #require(await rig.call("identity").json?["pid"]?.intValue)
            let sweeps = rig.watch { $0.sweeps > 8 ? $0.sweeps : nil }
            defer { sweeps.end() }
            await eventually("it was looked at") { sweeps.found != nil }
            #expect(await rig.call("identity").json?["pid"]?.intValue == pid)
        }
    }
}
