import MCP
import NIOCore
import NIOEmbedded
import StdioBridge
import Testing

@testable import Standalone

/// What becomes of legacy clients' sessions: they seldom end them.
@Suite struct MemorySessionsTests {
    private static var ann: FrontCaller { FrontCaller(principal: "ann", endpoint: "") }

    /// Sessions by a clock of the test's.
    private final class Bench {
        let host: MemorySessions
        var hours = 0
        var inUse: Set<String> = []
        var evicted: [String] = []

        init(_ loop: any EventLoop, _ reaper: Reaper, limit: Int = 8) {
            let children = Sessions(
                eventLoop: loop, reaper: reaper, plan: { _ in .failure(Undelivered(.notDelivered, "no server here")) }, log: { _ in })
            var clock: () -> NIODeadline = { .uptimeNanoseconds(1) }
            host = MemorySessions(children: children, limit: limit, idle: .hours(24), age: .hours(24 * 7), sharing: .session, now: { clock() })
            clock = { [unowned self] in .uptimeNanoseconds(1) + .hours(Int64(hours)) }
            host.inUse = { [unowned self] in inUse }
            host.onEvicted = { [unowned self] in evicted.append($0) }
        }

        func open() -> String {
            var opened = ""
            let record = LegacySessionRecord(protocolVersion: "2025-06-18", clientInfo: nil, clientCapabilities: ByteBuffer(string: "{}"))
            host.openSession(record, caller: ann) { opened = (try? $0.get()) ?? "" }
            return opened
        }

        func isThere(_ id: String) -> Bool {
            var isThere = false
            host.session(id: id, caller: ann) { isThere = $0 != nil }
            return isThere
        }
    }

    private func with(limit: Int = 8, _ body: (Bench) throws -> Void) throws {
        try body(Bench(EmbeddedEventLoop(), try Reaper(), limit: limit))
    }

    @Test func aDayWithoutARequestIsTheEnd() throws {
        try with { bench in
            let (left, kept) = (bench.open(), bench.open())
            bench.hours = 23
            #expect(bench.isThere(kept))
            bench.host.sweep()
            #expect(bench.evicted.isEmpty)
            bench.hours = 24
            bench.host.sweep()
            #expect(bench.evicted == [left] && !bench.isThere(left) && bench.isThere(kept))
        }
    }

    /// A stream is open, though no request comes; from when it breaks off there is a day to come back.
    @Test func aSessionInUseIsKept() throws {
        try with { bench in
            let id = bench.open()
            bench.inUse = [id]
            bench.hours = 30
            bench.host.sweep()
            bench.inUse = []
            bench.hours = 53
            bench.host.sweep()
            #expect(bench.evicted.isEmpty && bench.isThere(id))
        }
    }

    @Test(arguments: [true, false]) func aWeekIsTheEndInAnyCase(isSwept: Bool) throws {
        try with { bench in
            let id = bench.open()
            bench.inUse = [id]
            for hours in [50, 100, 167] {
                bench.hours = hours
                #expect(bench.isThere(id))
            }
            bench.hours = 168
            if isSwept { bench.host.sweep() }
            #expect(!bench.isThere(id) && bench.evicted == [id])
        }
    }

    @Test func theLongestUnusedMakesRoom() throws {
        try with(limit: 2) { bench in
            let (first, second) = (bench.open(), bench.open())
            bench.hours = 1
            #expect(bench.isThere(first))
            let third = bench.open()
            #expect(bench.evicted == [second] && bench.isThere(first) && bench.isThere(third))
        }
    }
}
