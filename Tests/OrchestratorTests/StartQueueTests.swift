import MachineAPI
import Synchronization
import TestSupport
import Testing

@testable import Orchestrator

struct StartQueueTests {
    /// Whose turn it was, in order.
    private final class Turns: Sendable {
        private let names = Mutex<[String]>([])
        func turn(_ name: String) -> @Sendable () -> Void { { self.names.withLock { $0.append(name) } } }
        var all: [String] { names.withLock { $0 } }
    }

    @Test("as many as there are places start at once; the next when one is ready or gone")
    func width() {
        let (queue, turns) = (StartQueue(width: 2), Turns())
        for name in ["a", "b", "c", "d"] { queue.enter(name, isAwaited: false, turn: turns.turn(name)) }
        #expect(turns.all == ["a", "b"])
        queue.leave("d")
        queue.leave("nobody")
        #expect(turns.all == ["a", "b"])
        queue.leave("b")
        queue.leave("b")
        #expect(turns.all == ["a", "b", "c"])
        queue.leave("a")
        queue.leave("c")
        #expect(turns.all == ["a", "b", "c"], "who left the queue has no turn")
    }

    @Test("who is waited for goes before who is not, also when that is known only later; nobody is started twice")
    func order() {
        let (queue, turns) = (StartQueue(width: 1), Turns())
        for name in ["first", "kept1", "kept2", "kept3"] { queue.enter(name, isAwaited: false, turn: turns.turn(name)) }
        for name in ["called1", "called2"] { queue.enter(name, isAwaited: true, turn: turns.turn(name)) }
        queue.enter("kept3", isAwaited: true, turn: turns.turn("kept3"))
        queue.enter("kept1", isAwaited: false, turn: turns.turn("kept1"))
        queue.enter("called1", isAwaited: true, turn: turns.turn("called1"))
        for name in ["first", "called1", "called2", "kept3", "kept1", "kept2"] {
            #expect(turns.all.last == name)
            queue.leave(name)
        }
        #expect(turns.all.count == 6)
    }

    @Test("a place that is kept for too long is handed on")
    func slow() {
        let (queue, turns) = (StartQueue(width: 1), Turns())
        let begin = ContinuousClock.now
        queue.enter("slow", isAwaited: false, at: begin, turn: turns.turn("slow"))
        queue.enter("next", isAwaited: false, at: begin, turn: turns.turn("next"))
        queue.handOn(at: begin + StartQueue.standardHold - .milliseconds(1))
        #expect(turns.all == ["slow"])
        queue.handOn(at: begin + StartQueue.standardHold)
        #expect(turns.all == ["slow", "next"])
        queue.enter("last", isAwaited: false, at: begin + StartQueue.standardHold, turn: turns.turn("last"))
        queue.leave("slow")
        #expect(turns.all.count == 2, "it has no place to give any more")
        queue.leave("next")
        #expect(turns.all.last == "last")
    }
}
