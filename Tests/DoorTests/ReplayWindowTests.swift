import Door
import Testing

/// `#expect` takes no mutating call.
private final class Window {
    private var state = ReplayWindow()
    func enter(_ counter: UInt64) -> Bool { state.enter(counter) }
}

@Suite("replay window")
struct ReplayWindowTests {
    @Test func everyCounterOnceInWhateverOrder() {
        let window = Window()
        var counters = Array(UInt64(1)...2_000)
        var generator = SystemRandomNumberGenerator()
        counters.shuffle(using: &generator)
        for counter in counters { #expect(window.enter(counter)) }
        for counter in counters { #expect(!window.enter(counter)) }
    }

    @Test func belowTheWindowIsRefused() {
        let window = Window()
        #expect(window.enter(1))
        #expect(window.enter(65_537))
        #expect(!window.enter(1), "slid out: refused, never accepted again")
        #expect(window.enter(2), "the last of the window")
        #expect(window.enter(65_538))
        #expect(!window.enter(2))
        #expect(window.enter(1_000_000))
        #expect(!window.enter(65_538))
        #expect(window.enter(1_000_000 - 65_535))
        #expect(!window.enter(1_000_000 - 65_536))
    }

    /// Against a plain set, over steps of every size: a bit of a former lap must never answer for a new counter.
    @Test(arguments: [1, 3, 63, 64, 65, 127, 1_000, 40_000, 65_535, 65_536, 70_000] as [UInt64])
    func slidingForgetsFormerLaps(step: UInt64) {
        let window = Window()
        var entered = Set<UInt64>()
        var highest: UInt64 = 0
        for lap in 1...40 as ClosedRange<UInt64> {
            for counter in [lap * step, lap * step &- 1, lap * step &- 63, lap * step &- 64] where counter > 0 && counter < 1 << 63 {
                let inside = counter > highest || highest - counter < ReplayWindow.size
                #expect(window.enter(counter) == (inside && !entered.contains(counter)), "\(counter)")
                entered.insert(counter)
                highest = max(highest, counter)
            }
        }
    }

    /// As many as a gateway that is killed again and again makes within the life of its tokens.
    @Test func oneSenderTooManyWaitsForASilentOne() throws {
        let door = try DoorFixture()
        let limit = UInt64(ReplayGuard.maximumSenders)
        #expect(limit >= 1_000)
        for sender in 1...limit {
            #expect(door.refusal([try door.minter(sender: sender).mint(principal: "a", session: "s").token]) == nil)
        }
        #expect(door.refusal([try door.minter(sender: limit + 1).mint(principal: "a", session: "s").token]) == .replayed)
        door.clock.now += ReplayGuard.silence - 1
        for sender in 2...limit {
            #expect(door.refusal([try door.minter(sender: sender, counter: 10).mint(principal: "a", session: "s").token]) == nil)
        }
        #expect(door.refusal([try door.minter(sender: limit + 1, counter: 1).mint(principal: "a", session: "s").token]) == .replayed)
        door.clock.now += 1
        #expect(door.refusal([try door.minter(sender: limit + 1, counter: 2).mint(principal: "a", session: "s").token]) == nil)
        #expect(door.refusal([try door.minter(sender: 1, counter: 20).mint(principal: "a", session: "s").token]) == .replayed)
    }

    @Test func anInvalidTokenMakesNoSender() throws {
        let door = try DoorFixture()
        for sender in 100...200 as ClosedRange<UInt64> {
            let minter = try door.minter(sender: sender, org: "01JOTHER")
            #expect(door.refusal([try minter.mint(principal: "a", session: "s").token]) == .wrongOrg)
        }
        for sender in 1...16 as ClosedRange<UInt64> {
            #expect(door.refusal([try door.minter(sender: sender).mint(principal: "a", session: "s").token]) == nil)
        }
    }

    @Test func theWindowHoldsThroughTheVerifier() throws {
        let door = try DoorFixture()
        let low = try door.minter(sender: 5, counter: 0).mint(principal: "a", session: "s").token
        #expect(door.refusal([try door.minter(sender: 5, counter: 65_536).mint(principal: "a", session: "s").token]) == nil)
        #expect(door.refusal([low]) == .replayed)
    }
}
