import Foundation
import MachineAPI
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Wire

/// What a server of the Machines API was asked, and what it is told to answer.
final class CannedServer: Sendable {
    struct Question: Sendable, Equatable {
        var method: String
        var target: String
        var authorization: String?
        var body: String
    }

    struct Answer: Sendable {
        var status = 200
        var body: String
        /// In pieces as they stand, and the connection cut after them.
        var cuts = false
    }

    private let answers = Mutex<[String: Answer]>([:])
    private let asked = Mutex<[Question]>([])
    private let server = Mutex<PublicServer?>(nil)

    var questions: [Question] { asked.withLock { $0 } }

    func answer(_ method: String, _ path: String, status: Int = 200, cuts: Bool = false, _ body: String) {
        answers.withLock { $0["\(method) \(path)"] = Answer(status: status, body: body, cuts: cuts) }
    }

    func open() async throws -> Endpoint {
        let group = MultiThreadedEventLoopGroup.singleton
        let server = try await PublicServer.bind(.tcp(host: "127.0.0.1", port: 0), group: group) { _ in Delegate(self) }
        self.server.withLock { $0 = server }
        return .tcp(host: "127.0.0.1", port: server.port ?? 0)
    }

    func close() async { await server.withLock { $0 }?.close(drain: .milliseconds(100)) }

    private final class Delegate: ServerDelegate {
        let canned: CannedServer
        init(_ canned: CannedServer) { self.canned = canned }

        func handle(_ exchange: ServerExchange) {
            canned.asked.withLock {
                $0.append(
                    Question(
                        method: "\(exchange.method)", target: exchange.uri, authorization: exchange.header("authorization"),
                        body: String(buffer: exchange.body)))
            }
            guard let answer = canned.answers.withLock({ $0["\(exchange.method) \(exchange.path)"] }) else {
                return exchange.reply(status: 404, headers: [], body: ByteBuffer(string: #"{"error":"nothing here","status":"not_found"}"#))
            }
            if answer.cuts {
                exchange.openBody(status: answer.status, headers: [])
                exchange.write(ByteBuffer(string: answer.body))
                exchange.abort()
            } else {
                exchange.reply(status: answer.status, headers: [("content-type", "application/json")], body: ByteBuffer(string: answer.body))
            }
        }
    }
}

struct MachinesClientTests {
    private func withClient(_ body: (CannedServer, MachinesClient) async throws -> Void) async throws {
        let server = CannedServer()
        let client = MachinesClient(endpoint: try await server.open(), token: "secret")
        do {
            try await body(server, client)
        } catch {
            await client.shutdown()
            await server.close()
            throw error
        }
        await client.shutdown()
        await server.close()
    }

    private func failure(_ operation: () async throws -> Void) async -> MachineAPIError? {
        do { try await operation(); return nil } catch { return error as? MachineAPIError }
    }

    @Test("a machine as Fly's server words it, with members that nobody knows here")
    func flyMachine() async throws {
        try await withClient { server, client in
            server.answer(
                "GET", "/v1/apps/web/machines/d891234f567890",
                """
                {"id":"d891234f567890","name":"m","state":"started","region":"fra","instance_id":"01H","version":"01H","private_ip":"fdaa::3",
                 "config":{"image":"sha256:aa","guest":{"cpu_kind":"shared","cpus":1,"memory_mb":256,"gpus":0},"dns":{},
                           "restart":{"policy":"on-failure"}},
                 "image_ref":{"registry":"r","repository":"p","tag":"t","digest":"sha256:aa","labels":null},"created_at":"2026-01-01T00:00:00Z",
                 "updated_at":"2026-01-01T00:00:00Z","checks":[],"host_status":"ok",
                 "events":[{"id":"01E","type":"start","status":"started","source":"flyd","timestamp":1700000000000,"request":{"x":1}}]}
                """)
            let machine = try await client.machine(app: "web", id: "d891234f567890")
            #expect(machine.state == .started && machine.config.restart?.policy == .onFailure)
            #expect(machine.events?.first?.timestamp == 1_700_000_000_000)
            #expect(machine.berth == nil)
            #expect(server.questions.first?.authorization == "Bearer secret")
        }
    }

    @Test("an app's root goes out in base64url without padding, and names are escaped")
    func requests() async throws {
        try await withClient { server, client in
            server.answer("POST", "/v1/apps", status: 201, "{}")
            try await client.createApp("a/b", org: "o", appRoot: [UInt8](repeating: 0xFB, count: 32))
            let sent = try #require(server.questions.first?.body)
            #expect(sent.contains("\"app_root\":\"-_v7-_v7") && !sent.contains("=") && !sent.contains("+"))
            _ = await failure { _ = try await client.machines(app: "a/b?c") }
            #expect(server.questions.last?.target == "/v1/apps/a%2Fb%3Fc/machines")
        }
    }

    @Test("wait asks for one state and a bounded time, then looks")
    func wait() async throws {
        try await withClient { server, client in
            server.answer("GET", "/v1/apps/web/machines/1/wait", status: 408, #"{"error":"deadline exceeded","status":"timeout"}"#)
            let error = await failure { _ = try await client.wait(app: "web", id: "1", for: .stopped, seconds: 500) }
            #expect(error == MachineAPIError(status: 408, code: "timeout", message: "deadline exceeded"))
            #expect(server.questions.last?.target == "/v1/apps/web/machines/1/wait?state=stopped&timeout=60")
        }
    }

    @Test("what is gone already is destroyed; every other refusal is told, in either shape")
    func refusals() async throws {
        try await withClient { server, client in
            try await client.destroy(app: "web", id: "1")
            try await client.deleteApp("web")
            server.answer("DELETE", "/v1/apps/web/machines/2", status: 409, #"{"error":"lease held","status":"conflict","details":{}}"#)
            let held = await failure { try await client.destroy(app: "web", id: "2") }
            #expect(held == MachineAPIError(status: 409, code: "conflict", message: "lease held"))
            server.answer("GET", "/v1/apps/x/machines/5", status: 403, #"{"error":"forbidden","message":"not you","hint":"be root"}"#)
            let forbidden = await failure { _ = try await client.machine(app: "x", id: "5") }
            #expect(forbidden == MachineAPIError(status: 403, code: "forbidden", message: "not you", hint: "be root"))
            server.answer("GET", "/v1/apps/x/machines/3", status: 502, "<html>")
            #expect(await failure { _ = try await client.machine(app: "x", id: "3") }?.status == 502)
            server.answer("GET", "/v1/apps/x/machines/4", "[]")
            #expect(await failure { _ = try await client.machine(app: "x", id: "4") }?.code == "bad_answer")
        }
    }

    @Test("nobody there is unreachable")
    func unreachable() async throws {
        let client = MachinesClient(endpoint: .unix(path: "/nonexistent/machines.sock"))
        let error = await failure { _ = try await client.machines(app: "x") }
        #expect(error?.status == 0 && error?.code == "unreachable")
        await client.shutdown()
    }

    @Test("a build's lines become events; one that is cut off is an error, not an end")
    func builds() async throws {
        try await withClient { server, client in
            let step = #"{"event":"step","text":"resolving"}"#
            let done = #"{"event":"done","image":"sha256:aa","command":["x"],"directory":"/","environment":{},"packages":[]}"#
            server.answer("POST", "/v1/berth/images", step + "\n" + done + "\n")
            var events: [ImageBuildEvent] = []
            for try await event in client.build(ImageSource(pypi: "x==1", constraints: ["mcp<2"])) { events.append(event) }
            let image = BuiltImage(image: "sha256:aa", command: ["x"], directory: "/", environment: [:], packages: [])
            #expect(events == [.step("resolving"), .done(image)])
            let source = try JSONDecoder().decode(ImageSource.self, from: Data(try #require(server.questions.last).body.utf8))
            #expect(source == ImageSource(pypi: "x==1", constraints: ["mcp<2"]))

            server.answer("POST", "/v1/berth/images", cuts: true, step + "\n")
            await #expect(throws: (any Error).self) { for try await _ in client.build(ImageSource(pypi: "x")) {} }
            server.answer("POST", "/v1/berth/images", step + "\n")
            await #expect(throws: MachineAPIError.self) { for try await _ in client.build(ImageSource(pypi: "x")) {} }
            server.answer("POST", "/v1/berth/images", status: 400, #"{"error":"bad_source","message":"no"}"#)
            await #expect(throws: MachineAPIError(status: 400, code: "bad_source", message: "no")) {
                for try await _ in client.build(ImageSource()) {}
            }
        }
    }

    @Test("build lines come back as they went", arguments: [
        ImageBuildEvent.step("a \"b\""),
        .done(BuiltImage(image: "sha256:1", command: ["a"], directory: "/d", environment: ["A": "b"], packages: ["x==1"])),
        .failed(ImageBuildFailure(error: "timeout", message: "m", hint: "h", log: "l")),
    ])
    func lines(event: ImageBuildEvent) throws {
        let text = try JSONEncoder().encode(BuildLine(event))
        #expect(try JSONDecoder().decode(BuildLine.self, from: text).event == event)
    }
}
