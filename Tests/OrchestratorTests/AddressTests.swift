import MachineAPI
import NIOHTTP1
import Testing

@testable import Orchestrator

struct AddressTests {
    typealias Candidate = MachineSelection.Candidate

    @Test("addresses in Fly's spelling, and what is none", arguments: [
        ("web.internal", InternalAddress.app("web")), ("WEB.Internal:8080", .app("web")), ("web-2.internal:80", .app("web-2")),
        ("0123456789abcd.vm.web.internal", .machine("0123456789abcd", app: "web")),
        ("localhost", nil), ("internal", nil), (".internal", nil), ("web.internal.", nil), ("a.b.internal", nil), ("x.vm..internal", nil),
        ("vm.web.internal", nil), ("web.internal.example.org", nil), ("wéb.internal", nil), ("a/b.internal", nil), ("127.0.0.1:80", nil),
        ("a.vm.b.c.internal", nil), ("top1.nearest.of.web.internal", nil),
    ] as [(String, InternalAddress?)])
    func addresses(host: String, address: InternalAddress?) {
        #expect(InternalAddress(host: host) == address)
    }

    @Test("an instance header is one machine's id, once, and the address's own")
    func wishes() throws {
        let (id, other) = ("0123456789abcd", "ffffffffffffff")
        #expect(try InstanceWish(forced: [id], preferred: [], at: .app("web")).forced == id)
        #expect(try InstanceWish(forced: [], preferred: [id], at: .machine(id, app: "web")).preferred == id)
        for (forced, preferred, address): ([String], [String], InternalAddress) in [
            ([id, id], [], .app("web")), ([""], [], .app("web")), ([], ["0123"], .app("web")), ([id + "0"], [], .app("web")), (["../../etc/passw"], [], .app("web")),
            ([other], [], .machine(id, app: "web")), ([], [other], .machine(id, app: "web")),
        ] {
            #expect(throws: MachineFailure.self) { try InstanceWish(forced: forced, preferred: preferred, at: address) }
        }
    }

    private func machine(_ id: String, _ state: MachineState = .started, load: Int = 0, cordoned: Bool = false, autostart: Bool = true) -> Candidate {
        Candidate(id: id, state: state, isCordoned: cordoned, autostart: autostart, load: load, softLimit: 4, hardLimit: 6)
    }

    private func choice(_ machines: [Candidate], forced: String? = nil, preferred: String? = nil) -> String {
        var wish = InstanceWish.none
        (wish.forced, wish.preferred) = (forced, preferred)
        switch MachineSelection.choose(among: machines, wish: wish) {
        case .use(let id, let starting, let unavailable):
            return ["use \(id)", starting.map { "starting \($0)" }, unavailable.map { "instead of \($0)" }].compactMap { $0 }.joined(separator: ", ")
        case .start(let id): return "start \(id)"
        case .wait: return "wait"
        case .refuse(let failure): return "\(failure.status.rawValue) \(failure.code)"
        }
    }

    @Test("an app's address: the least loaded that is ready and not cordoned")
    func leastLoaded() {
        #expect(choice([machine("a", load: 3), machine("b", load: 1), machine("c", load: 2)]) == "use b")
        #expect(choice([machine("a", load: 3), machine("b", cordoned: true), machine("c", .starting)]) == "use a")
        #expect(choice([machine("a", load: 5), machine("b", load: 4)]) == "use b", "above the soft limit, below the hard one")
    }

    @Test("above the soft limit one more is started, unless one comes already; above the hard one everybody waits")
    func limits() {
        #expect(choice([machine("a", load: 4), machine("b", .stopped)]) == "use a, starting b")
        #expect(choice([machine("a", load: 4), machine("b", .stopped), machine("c", .suspended)]) == "use a, starting c", "it is back sooner")
        #expect(choice([machine("a", load: 4), machine("b", .stopped), machine("c", .starting)]) == "use a")
        #expect(choice([machine("a", load: 4), machine("b", .stopped, autostart: false)]) == "use a")
        #expect(choice([machine("a", load: 6)]) == "wait")
        #expect(choice([machine("a", load: 6), machine("b", .stopped)]) == "start b")
    }

    @Test("nothing runs: one is started, or it is said that none is")
    func asleep() {
        #expect(choice([machine("a", .stopped)]) == "start a")
        #expect(choice([machine("a", .stopping)]) == "wait", "it is stopped soon, and can be started then")
        #expect(choice([machine("a", .starting), machine("b", .stopped)]) == "wait")
        #expect(choice([machine("a", .stopped, autostart: false)]) == "503 no_machines_started")
        #expect(choice([machine("a", .failed)]) == "503 no_machines_started")
        #expect(choice([]) == "503 no_machines")
        #expect(choice([machine("a", cordoned: true)]) == "503 no_machines")
    }

    @Test("forced: that machine and no other, cordoned or not")
    func forced() {
        let all = [machine("a"), machine("b", load: 5), machine("c", .stopped), machine("d", .stopped, autostart: false), machine("e", .failed)]
        #expect(choice(all, forced: "b") == "use b")
        #expect(choice(all, forced: "c") == "start c")
        #expect(choice(all, forced: "d") == "503 machine_stopped")
        #expect(choice(all, forced: "e") == "503 machine_failed")
        #expect(choice(all, forced: "x") == "404 unknown_machine")
        #expect(choice([machine("a", cordoned: true), machine("b")], forced: "a") == "use a")
        #expect(choice([machine("a", .replacing), machine("b")], forced: "a") == "503 machine_replaced")
        #expect(choice([machine("a", .destroying), machine("b")], forced: "a") == "404 machine_destroyed")
        #expect(choice([machine("a", load: 6), machine("b")], forced: "a") == "wait")
        #expect(choice([machine("a", .starting), machine("b")], forced: "a") == "wait")
    }

    @Test("preferred: that machine, else another that is told so")
    func preferred() {
        #expect(choice([machine("a", load: 3), machine("b")], preferred: "a") == "use a")
        #expect(choice([machine("a", .stopped), machine("b")], preferred: "a") == "use b, instead of a")
        #expect(choice([machine("a", load: 6), machine("b")], preferred: "a") == "use b, instead of a")
        #expect(choice([machine("a", cordoned: true), machine("b")], preferred: "a") == "use b, instead of a")
        #expect(choice([machine("b")], preferred: "x") == "use b, instead of x")
    }

    @Test("a machine's own address does not wake it, and says why it does not answer", arguments: [
        (MachineState.starting, "503 machine_starting"), (.stopped, "503 machine_stopped"), (.suspended, "503 machine_suspended"),
        (.replacing, "503 machine_replaced"), (.destroying, "404 machine_destroyed"), (.failed, "503 machine_failed"), (.started, "use m"),
    ])
    func direct(state: MachineState, told: String) {
        switch MachineSelection.direct(machine("m", state, cordoned: true), id: "m") {
        case .use(let id, nil, nil): #expect(told == "use \(id)")
        case .refuse(let failure): #expect(told == "\(failure.status.rawValue) \(failure.code)")
        default: Issue.record("something else")
        }
        guard case .refuse(let failure) = MachineSelection.direct(nil, id: "x") else {
            Issue.record("taken")
            return
        }
        #expect(failure.code == "unknown_machine" && failure.status == .notFound)
    }

    @Test("nothing of the hop, of this proxy's or of who may use it reaches a machine")
    func headers() {
        let sent = AddressedExchange.headers(
            HTTPHeaders([
                ("Host", "web.internal"), ("Authorization", "Bearer secret"), ("Cookie", "a=b"), ("Connection", "close, X-Hop"), ("x-hop", "1"),
                ("Fly-Preferred-Instance-Unavailable", "forged"), ("fly-client-ip", "9.9.9.9"), ("Proxy-Authorization", "x"), ("Content-Length", "9"),
                ("x-mintmcp-hosted-auth", "token"), ("Accept", "text/event-stream"),
            ]), unavailable: "0123456789abcd")
        #expect(sent.map { "\($0.0): \($0.1)" } == [
            "x-mintmcp-hosted-auth: token", "Accept: text/event-stream", "fly-preferred-instance-unavailable: 0123456789abcd",
        ])
    }
}
