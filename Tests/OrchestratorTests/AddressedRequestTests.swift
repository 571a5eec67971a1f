import Foundation
import Logging
import MachineAPI
import NIOCore
import NIOHTTP1
import NIOPosix
import Sealing
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Orchestrator

/// Requests by the addresses of apps and machines, over real sockets; the machines are in memory and their doors are here.
struct AddressedRequestTests {
    /// A machine's door that says what reached it.
    private final class EchoDoor: ServerDelegate {
        let machine: String
        let streams: Mutex<[NIOLoopBound<ServerExchange>]>
        init(_ machine: String) {
            self.machine = machine
            streams = Mutex([])
        }

        func handle(_ exchange: ServerExchange) {
            if exchange.path == "/stream" {
                exchange.openStream(headers: [("fly-replay", "app=other"), ("set-cookie", "a=b")])
                exchange.event(ByteBuffer(string: "first of \(machine)"))
                streams.withLock { $0.append(NIOLoopBound(exchange, eventLoop: exchange.eventLoop)) }
                return
            }
            if exchange.path == "/stale" {
                return exchange.reply(
                    status: 401, headers: [("content-type", "application/json")],
                    body: ByteBuffer(string: #"{"error":"hosted_auth","reason":"wrong_boot"}"#))
            }
            let names = exchange.head.headers.map { $0.name.lowercased() }.sorted().joined(separator: " ")
            let preferred = exchange.header("fly-preferred-instance-unavailable") ?? "-"
            exchange.reply(
                status: 201, headers: [("content-type", "text/plain"), ("fly-replay", "app=other")],
                body: ByteBuffer(string: "\(machine) \(exchange.method) \(exchange.uri) \(exchange.body.readableBytes) \(preferred) [\(names)]"))
        }
    }

    private struct Answer {
        var status: Int
        var headers: HTTPFields
        var body: String
        var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any] ?? [:] }
    }

    private static let root = Base64URL.encode([UInt8](repeating: 7, count: 32))

    private final class Place: Sendable {
        let host: FakeHost
        let http = HTTPClient()
        let doors = Mutex<[PublicServer]>([])

        init(_ host: FakeHost) { self.host = host }

        func machine(_ name: String, _ config: MachineConfig = FakeHost.config, app: String = "web", skipsLaunch: Bool = false) async throws -> MachineRecord {
            let wanted = #"{"name":"\#(app)","org_slug":"acme","berth":{"app_root":"\#(AddressedRequestTests.root)"}}"#
            _ = try await host.orchestrator.createApp(try CreateAppRequest(Array(wanted.utf8)))
            let record = try #require(await host.store.app(app))
            struct New: Encodable { var name: String; var config: MachineConfig; var skip_launch: Bool }
            let request = try CreateMachineRequest(Array(try JSONCoding.encode(New(name: name, config: config, skip_launch: skipsLaunch))))
            let machine = try await host.orchestrator.create(request, in: record)
            return skipsLaunch ? machine : try await up(machine.id)
        }

        /// Waits until it is started, and opens its door.
        @discardableResult
        func up(_ id: String) async throws -> MachineRecord {
            let machine = try await eventually("started") { try await self.host.store.machine(id).flatMap { $0.state == .started ? $0 : nil } }
            let path = try #require(machine.boot?.door)
            try Files.makeDirectories(host.directory + "/doors", mode: 0o700)
            let server = try await PublicServer.bind(.unix(path: path), group: MultiThreadedEventLoopGroup.singleton) { _ in EchoDoor(machine.name) }
            doors.withLock { $0.append(server) }
            return machine
        }

        func ask(
            _ address: String, _ path: String = "/mcp", headers: [(String, String)] = [], body: String? = "12345", to endpoint: Endpoint? = nil
        ) async throws -> Answer {
            let response = try await http.execute(
                "POST", path, headers: [("host", address)] + headers, body: body.map { ByteBuffer(string: $0) }, to: endpoint ?? host.socket)
            return Answer(status: response.status, headers: response.headers, body: String(buffer: try await response.collect(upTo: 1 << 20)))
        }

        func close() async {
            await http.shutdown()
            for door in doors.withLock({ $0 }) { await door.close(drain: .seconds(1)) }
        }
    }

    private func with(_ body: (Place) async throws -> Void) async throws {
        try await withFakeHost { host, _ in
            let place = Place(host)
            do {
                try await body(place)
            } catch {
                await place.close()
                throw error
            }
            await place.close()
        }
    }

    @Test("an app's address reaches its machine, with the request as it was and nothing of the hop")
    func app() async throws {
        try await with { place in
            let machine = try await place.machine("one")
            let answer = try await place.ask("web.internal", "/mcp?x=1", headers: [("authorization", "Bearer x"), ("x-mintmcp-hosted-auth", "t")])
            #expect(answer.status == 201)
            #expect(answer.body == "one POST /mcp?x=1 5 - [content-length host x-mintmcp-hosted-auth]")
            #expect(answer.headers["x-berth-machine"] == machine.id && !answer.headers.contains("fly-replay"))
            #expect(try await place.ask("\(machine.id).vm.web.internal:80").body.hasPrefix("one "))
            #expect(try await place.ask("nobody.internal").json["error"] as? String == "not_found")
            #expect(try await place.ask("ffffffffffffff.vm.web.internal").json["error"] as? String == "unknown_machine")
        }
    }

    @Test("another app's machine cannot be forced, nor addressed")
    func otherApp() async throws {
        try await with { place in
            _ = try await place.machine("one")
            let foreign = try await place.machine("two", app: "other")
            for answer in [
                try await place.ask("web.internal", headers: [("fly-force-instance-id", foreign.id)]), try await place.ask("\(foreign.id).vm.web.internal"),
            ] {
                #expect(answer.status == 404 && answer.json["error"] as? String == "unknown_machine")
            }
        }
    }

    @Test("forced and preferred instances, and one that is cordoned")
    func instances() async throws {
        try await with { place in
            let (one, two) = (try await place.machine("one"), try await place.machine("two"))
            for _ in 0..<4 {
                #expect(try await place.ask("web.internal", headers: [("fly-force-instance-id", two.id)]).body.hasPrefix("two "))
                #expect(try await place.ask("web.internal", headers: [("fly-prefer-instance-id", one.id)]).body.hasPrefix("one "))
            }
            try await place.host.reconciler.change(one.id) { $0.isCordoned = true; return nil }
            for _ in 0..<4 { #expect(try await place.ask("web.internal").body.hasPrefix("two ")) }
            let other = try await place.ask("web.internal", headers: [("fly-prefer-instance-id", one.id)])
            #expect(other.body.contains("two POST /mcp 5 \(one.id) "))
            #expect(try await place.ask("web.internal", headers: [("fly-force-instance-id", one.id)]).body.hasPrefix("one "), "its sessions go on")
            let bad = try await place.ask("web.internal", headers: [("fly-force-instance-id", "x")])
            #expect(bad.status == 400 && bad.json["field"] as? String == "fly-force-instance-id")
        }
    }

    @Test("an app's address starts a machine and waits for it; a machine's own does not")
    func wakes() async throws {
        try await with { place in
            let machine = try await place.machine("one", skipsLaunch: true)
            let direct = try await place.ask("\(machine.id).vm.web.internal")
            #expect(direct.status == 503 && direct.json["error"] as? String == "machine_stopped")
            #expect(try await place.host.store.machine(machine.id)?.state == .stopped)
            // It is ready when its door is open.
            place.host.door.answer.withLock { $0 = .silence("not yet") }
            async let stale = place.ask("web.internal", "/stale")
            async let answers = [place.ask("web.internal"), place.ask("web.internal", headers: [("fly-force-instance-id", machine.id)])]
            let boot = try await eventually("a boot") { try await place.host.store.machine(machine.id)?.boot }
            try Files.makeDirectories(place.host.directory + "/doors", mode: 0o700)
            let server = try await PublicServer.bind(.unix(path: try #require(boot.door)), group: MultiThreadedEventLoopGroup.singleton) { _ in EchoDoor("one") }
            place.doors.withLock { $0.append(server) }
            place.host.door.answer.withLock { $0 = .yes }
            for answer in try await answers { #expect(answer.body.hasPrefix("one ")) }
            // A token of before the machine's start is to be signed anew; from a machine that ran it is refused as it stands.
            let woken = try await stale
            #expect(woken.status == 503 && woken.json["error"] as? String == "machine_woken" && woken.headers["retry-after"] == "1")
            #expect(try await place.ask("web.internal", "/stale").status == 401)
            let events = try await place.host.store.events(of: machine.id, limit: 20)
            #expect(events.contains { $0.type == "start" && $0.source == "proxy" })
        }
    }

    @Test("a machine that is not to be started by a request stays stopped, and the answer says so")
    func noAutostart() async throws {
        try await with { place in
            var config = FakeHost.config
            config.berth = .init()
            config.berth?.autostart = false
            let machine = try await place.machine("one", config, skipsLaunch: true)
            #expect(try await place.ask("web.internal").json["error"] as? String == "no_machines_started")
            #expect(try await place.ask("web.internal", headers: [("fly-force-instance-id", machine.id)]).json["error"] as? String == "machine_stopped")
            #expect(try await place.host.store.machine(machine.id)?.state == .stopped)
        }
    }

    @Test("a stream comes piece by piece, counts as load until its end, and its client's going ends it")
    func streams() async throws {
        try await with { place in
            var config = FakeHost.config
            config.berth = .init()
            config.berth?.concurrency = .init(hard_limit: 1)
            let machine = try await place.machine("one", config)
            let response = try await place.http.execute("POST", "/stream", headers: [("host", "web.internal")], to: place.host.socket)
            #expect(response.status == 200 && response.headers["content-type"] == "text/event-stream")
            #expect(!response.headers.contains("fly-replay") && !response.headers.contains("set-cookie"))
            var pieces = response.body.makeAsyncIterator()
            #expect(try await pieces.next().map { String(buffer: $0) }?.contains("first of one") == true)
            // The machine is full: the next one waits until the stream has gone.
            let second = Task { try await place.ask("\(machine.id).vm.web.internal") }
            _ = try await eventually("it waits") { place.host.reconciler.host.hub.listenerCount > 0 ? true : nil }
            let reader = Task { _ = try await pieces.next() }
            reader.cancel()
            _ = try? await reader.value
            #expect(try await second.value.body.hasPrefix("one "))
        }
    }

    @Test("past the budget and past the queue it is 503 with Retry-After")
    func budget() async throws {
        try await with { place in
            var config = FakeHost.config
            config.berth = .init()
            config.berth?.concurrency = .init(hard_limit: 1)
            let machine = try await place.machine("one", config)
            let requests = AddressedRequests(reconciler: place.host.reconciler, budget: .milliseconds(50))
            let wish = InstanceWish.none
            let first = try await requests.place(.app("web"), wish)
            #expect(first.machine == machine.id)
            let late = await #expect(throws: MachineFailure.self) { try await requests.place(.app("web"), wish) }
            #expect(late?.code == "no_capacity" && late?.status == .unavailable && (late?.retryAfterSeconds ?? 0) > 0)
            for _ in 0..<MachineLoads.waitingLimit { #expect(requests.loads.beginWaiting(for: "web")) }
            let full = await #expect(throws: MachineFailure.self) { try await requests.place(.app("web"), wish) }
            #expect(full?.code == "queue_full" && (full?.retryAfterSeconds ?? 0) > 0)
            for _ in 0..<MachineLoads.waitingLimit { requests.loads.stopWaiting(for: "web") }
            requests.release(first)
            let again = try await requests.place(.app("web"), wish)
            requests.release(again)
            #expect(requests.loads.load(of: machine.id) == 0)
        }
    }

    @Test("a request that reached no machine goes to another; by a machine's own address it is told")
    func deadDoor() async throws {
        try await with { place in
            let dead = try await place.machine("dead")
            for door in place.doors.withLock({ $0 }) { await door.close(drain: .zero) }
            let alive = try await place.machine("alive")
            for _ in 0..<6 { #expect(try await place.ask("web.internal").headers["x-berth-machine"] == alive.id) }
            let direct = try await place.ask("\(dead.id).vm.web.internal")
            #expect(direct.status == 502 && direct.json["error"] as? String == "not_delivered")
        }
    }

    @Test("over TCP an address needs the token that the API needs; a page of a browser has none")
    func access() async throws {
        try await with { place in
            _ = try await place.machine("one")
            let (endpoint, token) = try place.host.tcp()
            #expect(try await place.ask("web.internal", to: endpoint).status == 401)
            #expect(try await place.ask("web.internal", headers: [("authorization", "Bearer wrong")], to: endpoint).status == 401)
            let right = [("authorization", "Bearer \(token)")]
            #expect(try await place.ask("web.internal", headers: right, to: endpoint).body.hasPrefix("one "))
            #expect(try await place.ask("web.internal", headers: right + [("origin", "http://web.internal")], to: endpoint).status == 403)
        }
    }
}
