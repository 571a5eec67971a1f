import Glibc
import MCP
import NIOCore
import StdioBridge
import Testing
@testable import MachineAgent

@Suite struct ServerLifeTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private static let limits = ServerStateMachine.Limits()
    private func machine() -> ServerStateMachine { ServerStateMachine(place: ServerPlace(port: 8000, path: "/mcp")) }

    /// Started, listening and asked for the handshake.
    private func probing() -> ServerStateMachine {
        var machine = machine()
        #expect(machine.requestArrived(now: Self.start) == [.spawn])
        #expect(machine.started() == [.arm(Self.limits.start), .watchPort])
        #expect(machine.listens() == [.handshake(after: .zero)])
        return machine
    }

    private func ready() -> ServerStateMachine {
        var machine = probing()
        #expect(machine.handshaken() == [.disarm, .stopTrying, .serve])
        return machine
    }

    private static let ending: [ServerStateMachine.Action] = [.stopTrying, .signal(SIGTERM), .arm(limits.rung)]

    @Test func comesUpOnceForAll() {
        var machine = machine()
        #expect(machine.requestArrived(now: Self.start) == [.spawn])
        #expect(machine.requestArrived(now: Self.start) == [])
        _ = machine.started()
        #expect(machine.requestArrived(now: Self.start) == [])
        _ = machine.listens()
        #expect(machine.handshaken() == [.disarm, .stopTrying, .serve])
        #expect(machine.requestArrived(now: Self.start) == [.serve])
    }

    @Test func anExitBeforeItListenedIsNamed() {
        var machine = machine()
        _ = machine.requestArrived(now: Self.start)
        _ = machine.started()
        #expect(machine.exited(.code(3)) == [.stopTrying, .arm(Self.limits.settle)])
        let why = "the server exited with status 3 before it listened on port 8000"
        #expect(machine.outputEnded(now: Self.start) == [.disarm, .tell(why), .failWaiting(why), .cleanUp])
        #expect(machine.isCrashed)
        #expect(machine.cleanedUp(now: Self.start) == [])
        // The first death costs no wait.
        #expect(machine.requestArrived(now: Self.start) == [.spawn])
    }

    @Test func anExitInTheHandshakeIsNamed() {
        var machine = probing()
        _ = machine.exited(.signal(SIGSEGV))
        let why = "the server was killed by signal 11 before it answered MCP's handshake at /mcp"
        #expect(machine.timerFired(now: Self.start).contains(.failWaiting(why)), "its output does not end")
    }

    @Test(arguments: [
        ([], ""), ([9000], ", but listens on port 9000: give --http 9000"),
        ([81, 9000], ", but listens on the ports 81, 9000: give --http one of them"),
    ]) func aServerThatListensElsewhereIsToldWhere(ports: [Int], hint: String) {
        var machine = machine()
        _ = machine.requestArrived(now: Self.start)
        _ = machine.started()
        let why = "the server did not listen on port 8000 within 30 s" + hint
        #expect(machine.timerFired(listening: ports, now: Self.start) == [.tell(why), .failWaiting(why)] + Self.ending)
        _ = machine.exited(.signal(SIGTERM))
        #expect(machine.outputEnded(now: Self.start) == [.disarm, .cleanUp], "told once")
        _ = machine.cleanedUp(now: Self.start)
        // Another try would take as long, and end the same.
        #expect(machine.settledFault(now: Self.start) == why && machine.settledFault(now: Self.start + .seconds(30)) == nil)
        #expect(machine.requestArrived(now: Self.start) == [.failWaiting(why + "; next start in 30 s")])
        #expect(machine.requestArrived(now: Self.start + .seconds(30)) == [.spawn])
    }

    @Test func aPortThatIsAnothersIsNotItsOwn() {
        var machine = machine()
        _ = machine.requestArrived(now: Self.start)
        _ = machine.started()
        #expect(machine.listens(isOwn: false).contains(.failWaiting("another process of the machine listens on port 8000")))
    }

    @Test func whatIsNoMCPIsToldAtOnceAndWhatIsNotReadyIsAskedAgain() {
        var machine = probing()
        #expect(machine.handshakeFailed("HTTP 503", mayPass: true) == [.handshake(after: Self.limits.again)])
        let why = "the server listens on port 8000, but does not speak MCP at /mcp: HTTP 404 text/html"
        #expect(machine.handshakeFailed("HTTP 404 text/html", mayPass: false) == [.tell(why), .failWaiting(why)] + Self.ending)
    }

    @Test func aServerThatIsNeverReadyIsToldWithItsLastAnswer() {
        var machine = probing()
        _ = machine.handshakeFailed("HTTP 503", mayPass: true)
        let why = "the server listens on port 8000, but does not speak MCP at /mcp: HTTP 503"
        #expect(machine.timerFired(now: Self.start).contains(.failWaiting(why)))
        var silent = probing()
        let silence = "the server listens on port 8000, but did not answer MCP's handshake at /mcp within 30 s"
        #expect(silent.timerFired(now: Self.start).contains(.failWaiting(silence)))
    }

    @Test func aDeathIsToldAtOnceAndTheNextComesForWhoeverWaits() {
        var machine = ready()
        #expect(machine.exited(.signal(SIGKILL)) == [.stopTrying, .lose("the server was killed by signal 9"), .arm(Self.limits.settle)])
        #expect(machine.requestArrived(now: Self.start) == [])
        #expect(machine.outputEnded(now: Self.start) == [.disarm, .tell("the server was killed by signal 9"), .cleanUp])
        #expect(machine.cleanedUp(now: Self.start) == [.spawn], "no process is started beside what the old one left")
    }

    @Test func deathsInARowWaitLonger() {
        var machine = machine()
        var waits: [TimeAmount] = []
        for _ in 0..<4 {
            let actions = machine.requestArrived(now: Self.start)
            if case .arm(let wait)? = actions.first {
                waits.append(wait)
                #expect(machine.timerFired(now: Self.start) == [.spawn])
            }
            _ = machine.started()
            _ = machine.exited(.code(1))
            _ = machine.outputEnded(now: Self.start)
            _ = machine.cleanedUp(now: Self.start)
        }
        #expect(waits == [.milliseconds(200), .milliseconds(400)])
        var served = ready()
        served.answered()
        #expect(served.failures == 0)
    }

    @Test func endsByTheLadder() {
        var machine = ready()
        #expect(machine.stop("over") == [.lose("over")] + Self.ending)
        #expect(machine.timerFired(now: Self.start) == [.signal(SIGKILL), .arm(Self.limits.rung)])
        #expect(machine.exited(.signal(SIGKILL)) == [.stopTrying, .arm(Self.limits.settle)])
        #expect(machine.outputEnded(now: Self.start) == [.disarm, .cleanUp])
        #expect(machine.cleanedUp(now: Self.start) == [.failWaiting("over"), .ended])
        #expect(machine.requestArrived(now: Self.start) == [.failWaiting("over")])
        var idle = self.machine()
        #expect(idle.stop("over") == [.disarm, .failWaiting("over"), .ended])
    }

    @Test func anotherTakesItsPlaceAtOnce() {
        var machine = ready()
        #expect(machine.replace().suffix(3) == Self.ending[...])
        #expect(machine.requestArrived(now: Self.start) == [])
        _ = machine.exited(.code(0))
        #expect(machine.outputEnded(now: Self.start) == [.disarm, .cleanUp])
        #expect(machine.failures == 0 && machine.cleanedUp(now: Self.start) == [.spawn])
    }

    // MARK: Ports and room

    @Test func readsWhoListensWhere() {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 1 1 0 100 0 0 10 0
               1: 00000000:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 2 1 0 100 0 0 10 0
               2: 0100007F:1F40 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 3 1 0 20 4 30 10 -1
               3: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 4 1 0 100 0 0 10 0
            """
        let sockets = ListeningSockets(table: table)
        #expect(sockets.ports(of: 1001) == [8000, 9000] && sockets.ports(of: 1003) == [])
        #expect(sockets.isOthers(80, than: 1001) && !sockets.isOthers(8000, than: 1001) && !sockets.isOthers(443, than: 1001))
        let six = "sl\n 0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 7 0 1\n"
        #expect(ListeningSockets(table: six).ports(of: 7) == [8080])
        #expect(ListeningSockets(table: "nonsense\nmore of it\n").sockets.isEmpty)
    }

    private func seats(_ text: String) -> [SessionRoom.Seat<Int>] {
        // An owner's letter, capital where the session is busy; those that come first are idle longest.
        text.enumerated().map { index, letter in
            .init(
                id: index, owner: letter.lowercased(), isIdle: letter.isLowercase,
                since: .uptimeNanoseconds(UInt64(1 + index)))
        }
    }

    @Test(arguments: [
        ("", "a", SessionRoom.Answer<Int>.free), ("aaa", "b", .free),
        // Never all of it is one owner's.
        ("aaa", "a", .retire(0)), ("AAA", "a", .full), ("AAa", "a", .retire(2)),
        // The owner with most pays, with the one that is idle longest; never one that has less than the asker.
        ("baac", "d", .retire(1)), ("AABb", "c", .retire(3)), ("aaBB", "b", .full), ("ABCd", "e", .retire(3)), ("ABCD", "e", .full),
        ("ABCa", "b", .retire(3)),
    ]) func makesRoom(held: String, owner: String, answer: SessionRoom.Answer<Int>) {
        #expect(SessionRoom.admit(owner, among: seats(held), limit: 4) == answer)
    }
}
