import JSONText
@testable import Gateway
import MCP
import NIOCore
import Sealing
import Testing

@Suite("data path: state machines")
struct DataPathStateTests {
    private let key = PinTable.Key(session: "s", connector: "c")

    /// After an update that has open sessions stay.
    @Test func aPinAtTheFloorStays() {
        var table = PinTable()
        _ = table.acquire(key, floor: 1, waiter: 1)
        _ = table.found(key, ticket: 1, entry: entry("b", generation: 3), moved: false)
        #expect(table.acquire(key, floor: 3, waiter: 2) == [.proceed(waiter: 2, entry("b", generation: 3), moved: false)])
        #expect(table.acquire(key, floor: 4, waiter: 3) == [.search(key, ticket: 2, .renew(entry("b").pin))])
    }

    private func entry(_ boot: String, epoch: Int = 1, generation: Int = 1) -> PinTable.Entry {
        PinTable.Entry(
            pin: Pin(session: "s", connector: "c", epoch: epoch, machine: "m", boot: boot),
            address: MachineAddress(machine: "m", boot: boot, door: "unix:/x"), generation: generation)
    }

    @Test func oneSearchServesAllWhoWait() {
        var table = PinTable()
        #expect(table.acquire(key, floor: 1, waiter: 1) == [.search(key, ticket: 1, .find)])
        #expect(table.acquire(key, floor: 1, waiter: 2) == [])
        table.abandon(key, waiter: 1)
        #expect(table.found(key, ticket: 9, entry: entry("b"), moved: false) == [], "of an older search")
        #expect(table.found(key, ticket: 1, entry: entry("b"), moved: false) == [.proceed(waiter: 2, entry("b"), moved: false)])
        #expect(table.acquire(key, floor: 1, waiter: 3) == [.proceed(waiter: 3, entry("b"), moved: false)])
    }

    @Test func aFailedSearchIsForgotten() {
        var table = PinTable()
        _ = table.acquire(key, floor: 1, waiter: 1)
        #expect(table.notFound(key, ticket: 1, reason: "no") == [.fail(waiter: 1, reason: "no")])
        #expect(table.count == 0)
        #expect(table.acquire(key, floor: 1, waiter: 2) == [.search(key, ticket: 2, .find)])
    }

    @Test func lossesCountOncePerEpoch() {
        var table = PinTable()
        _ = table.acquire(key, floor: 1, waiter: 1)
        _ = table.found(key, ticket: 1, entry: entry("b"), moved: false)
        table.lost(key, epoch: 1)
        #expect(table.acquire(key, floor: 1, waiter: 2) == [.search(key, ticket: 2, .replace(entry("b").pin))])
        let second = entry("b2", epoch: 2)
        _ = table.found(key, ticket: 2, entry: second, moved: true)
        // The other calls of the lost boot say so too, late.
        table.lost(key, epoch: 1)
        table.suspect(key, epoch: 1)
        #expect(table.acquire(key, floor: 1, waiter: 3) == [.proceed(waiter: 3, second, moved: false)])
        table.suspect(key, epoch: 2)
        #expect(table.acquire(key, floor: 1, waiter: 4) == [.search(key, ticket: 3, .verify(second.pin))])
        _ = table.found(key, ticket: 3, entry: second, moved: false)
        #expect(table.acquire(key, floor: 2, waiter: 5) == [.search(key, ticket: 4, .renew(second.pin))])
    }

    @Test func anEndedSessionLetsGo() {
        var table = PinTable()
        _ = table.acquire(key, floor: 1, waiter: 1)
        #expect(table.end(session: "s").actions == [.fail(waiter: 1, reason: "the session ended")])
        #expect(table.found(key, ticket: 1, entry: entry("b"), moved: false) == [] && table.count == 0)
        _ = table.acquire(key, floor: 1, waiter: 2)
        _ = table.found(key, ticket: 2, entry: entry("b"), moved: false)
        #expect(table.end(session: "s").entries == [entry("b")])
        #expect(table.end(session: "s").entries.isEmpty && table.count == 0)
    }

    @Test func waitersAreBounded() {
        var table = PinTable()
        for waiter in 0..<PinTable.maximumWaiters { _ = table.acquire(key, floor: 1, waiter: waiter) }
        #expect(table.acquire(key, floor: 1, waiter: -1) == [.fail(waiter: -1, reason: "too many calls wait for a machine")])
    }

    @Test func theMeterCountsWhatItLeavesOut() {
        var meter = RefusalMeter()
        #expect((0..<8).map { _ in meter.admit("no", second: 1) } == ["no", "no", "no", "no", "no", nil, nil, nil])
        #expect(meter.admit("no", second: 2) == "no; 3 more before it were not written")
        #expect(meter.admit("no", second: 2) == "no")
    }

    static let refusals: [(Int, String, DoorAnswer.Refusal)] = [
        (401, #"{"error":"hosted_auth","reason":"wrong_boot"}"#, .notDelivered(reason: "the machine was restarted", .wrongBoot)),
        (401, #"{"error":"hosted_auth","reason":"replayed"}"#, .notDelivered(reason: "the machine refused the gateway: replayed", nil)),
        (409, #"{"error":"credentials_needed"}"#, .credentialsNeeded),
        (409, "x", .notDelivered(reason: "the machine refused the request", nil)),
        (503, #"{"error":"draining"}"#, .notDelivered(reason: "the machine is draining", .draining)),
        (503, "", .outcomeUnknown(reason: "the machine answered with status 503")),
        (400, #"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}"#, .error(MCPError(code: -32600, message: "m"))),
        (302, "", .outcomeUnknown(reason: "the machine answered with status 302")),
    ]

    @Test(arguments: refusals)
    func refusalsOfADoor(status: Int, body: String, expected: DoorAnswer.Refusal) {
        #expect(DoorAnswer.refusal(status: status, body: ByteBuffer(string: body)) == expected)
    }

    /// What names a failure in the machine's log reaches the client as a member of its own, and is said once.
    @Test func theIncidentOfAFailureIsPassedOn() throws {
        let told = MCPError(Undelivered(.outcomeUnknown, "the server exited with status 3", incident: "95ccb336"))
        let answer = JSONRPC.error(id: ByteBuffer(string: "7"), told)
        let envelope = try EnvelopeScanner.scan(answer.readableBytesSpan)
        guard case .failed(let why) = DoorAnswer.outcome(answer, envelope, id: 7) else {
            Issue.record("no failure")
            return
        }
        #expect(why == Undelivered(.outcomeUnknown, "the server exited with status 3", incident: "95ccb336"))
        #expect(MCPError(why) == told)
    }
}
