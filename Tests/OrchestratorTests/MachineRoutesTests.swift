import Foundation
import MachineAPI
import NIOCore
import Synchronization
import Testing
import Wire

@testable import Orchestrator

struct MachineRoutesTests {
    private let root = [UInt8](repeating: 3, count: 32)

    /// A raw request; the body parsed as a JSON object or array.
    private func ask(
        _ method: String, _ path: String, _ body: String? = nil, headers: [(String, String)] = [], to endpoint: Endpoint
    ) async throws -> (status: Int, headers: HTTPFields, json: Any?) {
        let http = HTTPClient()
        var headers = headers
        if body != nil, !headers.contains(where: { $0.0 == "content-type" }) { headers.append(("content-type", "application/json")) }
        let response = try await http.execute(method, path, headers: headers, body: body.map { ByteBuffer(string: $0) }, to: endpoint)
        let bytes = try await response.collect(upTo: 1 << 20)
        await http.shutdown()
        return (response.status, response.headers, try? JSONSerialization.jsonObject(with: Data(bytes.readableBytesView), options: .fragmentsAllowed))
    }

    private func code(_ operation: () async throws -> Void) async -> String? {
        do { try await operation(); return nil } catch { return (error as? MachineAPIError).map { "\($0.status) \($0.code)" } ?? "\(error)" }
    }

    @Test("a machine's life through the client")
    func life() async throws {
        try await withFakeHost { host, client in
            try await client.createApp("web", org: "acme", appRoot: root)
            try await client.createApp("web", org: "acme", appRoot: root)
            #expect(await code { try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 4, count: 32)) } == "422 name_taken")

            let machine = try await client.create(app: "web", name: "one", config: FakeHost.config, skipLaunch: false)
            #expect(machine.id.count == 14 && machine.name == "one" && machine.instance_id.count == 26)
            let again = try await client.create(app: "web", name: "one", config: FakeHost.config, skipLaunch: false)
            #expect(again.id == machine.id)
            var other = FakeHost.config
            other.env = ["B": "3"]
            #expect(await code { _ = try await client.create(app: "web", name: "one", config: other, skipLaunch: false) } == "409 name_in_use")

            let started = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            #expect(started.state == .started && started.berth?.door?.hasPrefix("unix:/") == true && started.berth?.isolation == ["user"])
            let boot = try #require(started.berth?.boot_id)
            #expect(try await client.machines(app: "web").map(\.id) == [machine.id])
            #expect(try await client.logs(app: "web", id: machine.id, lines: 7) == "log of \(machine.id), 7\n")

            try await client.perform(.stop, app: "web", id: machine.id)
            let stopped = try await client.wait(app: "web", id: machine.id, for: .stopped, seconds: 60)
            #expect(stopped.berth?.door == nil && stopped.berth?.boot_id == nil)
            try await client.perform(.start, app: "web", id: machine.id)
            #expect(try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60).berth?.boot_id != boot)
            try await client.perform(.restart, app: "web", id: machine.id)
            let events = try await ask("GET", "/v1/apps/web/machines/\(machine.id)/events", to: host.socket).json as? [[String: Any]]
            #expect(events?.contains { $0["type"] as? String == "restart" && $0["source"] as? String == "user" } == true)

            try await client.destroy(app: "web", id: machine.id)
            try await client.destroy(app: "web", id: machine.id)
            #expect(try await client.machine(app: "web", id: machine.id).state == .destroyed)
            #expect(try await client.machines(app: "web") == [])
            try await client.deleteApp("web")
            try await client.deleteApp("web")
            #expect((try await ask("GET", "/v1/apps?org_slug=all", to: host.socket).json as? [String: Any])?["total_apps"] as? Int == 0)
            #expect(await code { _ = try await client.machine(app: "web", id: machine.id) } == "404 not_found")
            #expect(host.runtime.state.withLock { $0.running.isEmpty })
        }
    }

    @Test("deleting an app destroys what runs in it")
    func deleteApp() async throws {
        try await withFakeHost { host, client in
            try await client.createApp("web", org: "acme", appRoot: root)
            for name in ["a", "b", "c"] { _ = try await client.create(app: "web", name: name, config: FakeHost.config, skipLaunch: false) }
            try await client.deleteApp("web")
            #expect(host.runtime.state.withLock { $0.running.isEmpty })
            #expect(try await host.store.boots().isEmpty)
        }
    }

    @Test("who waits for what cannot come learns why, at once")
    func waiting() async throws {
        try await withFakeHost { host, client in
            try await client.createApp("web", org: "acme", appRoot: root)
            host.door.answer.withLock { $0 = .no("it is broken") }
            let machine = try await client.create(app: "web", name: "m", config: FakeHost.config, skipLaunch: false)
            do {
                _ = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
                Issue.record("started")
            } catch let error as MachineAPIError {
                #expect(error.status == 400 && error.message.contains("machine failed to reach desired state"))
                #expect(error.message.contains("it is broken"))
            }
            let idle = try await client.create(app: "web", name: "idle", config: FakeHost.config, skipLaunch: true)
            #expect(idle.state == .stopped)
            #expect(await code { _ = try await client.wait(app: "web", id: idle.id, for: .started, seconds: 60) } == "400 unreachable_state")
            #expect(await code { _ = try await client.wait(app: "web", id: "00000000000000", for: .started, seconds: 60) } == "404 not_found")

            host.door.answer.withLock { $0 = .silence("nobody") }
            let slow = try await client.create(app: "web", name: "slow", config: FakeHost.config, skipLaunch: false)
            #expect(await code { _ = try await client.wait(app: "web", id: slow.id, for: .started, seconds: 1) } == "408 timeout")
            let path = "/v1/apps/web/machines/\(idle.id)/wait"
            #expect(try await ask("GET", path + "?state=started,stopped", to: host.socket).status == 200)
            #expect(try await ask("GET", path + "?state=started&state=stopped", to: host.socket).status == 200)
            #expect(try await ask("GET", path + "?state=settled", to: host.socket).status == 200)
            #expect(try await ask("GET", path + "?state=flying", to: host.socket).status == 400)
            #expect(try await ask("GET", path + "?state=stopped&version=\(idle.instance_id)", to: host.socket).status == 200)
            #expect(try await ask("GET", path + "?state=stopped&instance_id=X", to: host.socket).status == 400)
        }
    }

    @Test("Fly's shapes: errors, request id, envelope, other spellings")
    func shapes() async throws {
        try await withFakeHost { host, _ in
            let missing = try await ask("GET", "/v1/apps/nope", to: host.socket)
            let error = try #require(missing.json as? [String: Any])
            #expect(missing.status == 404 && error["status"] as? String == "not_found")
            #expect(error["error"] is String && error["details"] is [String: Any])
            #expect(missing.headers["fly-request-id"]?.hasSuffix("-local") == true)

            let app = #"{"app_name":"web","org_slug":"acme","enable_subdomains":false}"#
            let created = try await ask("POST", "/v1/apps?wait=true", app, to: host.socket)
            #expect(created.status == 201 && (created.json as? [String: Any])?["name"] as? String == "web")
            let spelled = #""init":{"entrypoint":["/e"],"cmd":["c"]},"stop_config":{"timeout":2000000000},"mounts":[],"size":"","dns":{}"#
            let body = #"{"config":{"image":"\#(FakeImages.digest)",\#(spelled)}}"#
            let answer = try await ask("POST", "/v1/apps/web/machines", body, to: host.socket)
            let machine = try #require(answer.json as? [String: Any])
            let config = try #require(machine["config"] as? [String: Any])
            #expect((config["init"] as? [String: Any])?["exec"] as? [String] == ["/e", "c"])
            #expect((machine["name"] as? String)?.hasPrefix("machine-") == true)
            let id = try #require(machine["id"] as? String)

            let settled = try await ask("GET", "/v1/apps/web/machines/\(id)/wait", to: host.socket).json as? [String: Any]
            let event = settled?["event_id"] as? String ?? ""
            #expect(try await ask("GET", "/v1/apps/web/machines/\(id)/wait?timeout=1&from_event_id=\(event)", to: host.socket).status == 408)
            let start = try await ask("POST", "/v1/apps/web/machines/\(id)/start", to: host.socket)
            #expect(start.status == 200 && (start.json as? [String: Any])?["previous_state"] is String)
            #expect(try await ask("GET", "/v1/apps/web/machines/\(id)/wait", to: host.socket).status == 200)
            #expect(try await ask("DELETE", "/v1/apps/web/machines/\(id)", to: host.socket).status == 412)
            #expect(try await ask("POST", "/v1/apps/web/machines/\(id)/memory/reclaim", to: host.socket).status == 501)
            let stop = "/v1/apps/web/machines/\(id)/stop"
            #expect(try await ask("POST", stop, #"{"signal":"SIGHUP"}"#, to: host.socket).status == 422)
            #expect(try await ask("POST", stop, #"{"timeout":"1d"}"#, to: host.socket).status == 400)
            #expect(try await ask("POST", stop, #"{"force":true}"#, to: host.socket).status == 400)
            #expect(try await ask("POST", "/v1/apps", #"{"name":"x","org_slug":"a","root":1}"#, to: host.socket).status == 400)
            #expect(try await ask("POST", stop, #"{"signal":"SIGTERM","timeout":1000000000}"#, to: host.socket).status == 200)
            #expect(try await ask("GET", "/v1/apps/web/machines/\(id)/wait?state=stopped", to: host.socket).status == 200)
            #expect(try await ask("DELETE", "/v1/apps/web/machines/\(id)?kill=true", to: host.socket).status == 200)
            let page = try await ask("GET", "/v1/orgs/acme/machines?include_deleted=true", to: host.socket)
            #expect(((page.json as? [String: Any])?["machines"] as? [Any])?.count == 1)
            #expect(try await ask("DELETE", "/v1/apps/web", to: host.socket).status == 202)
        }
    }

    @Test(
        "what would be dropped silently, and what is out of range, is refused with its field",
        arguments: [
            (#"{"config":{"image":"IMAGE","mounts":[{"path":"/x"}]}}"#, 422, "config.mounts"),
            (#"{"config":{"image":"IMAGE","files":[{"guest_path":"/x"}]}}"#, 422, "config.files"),
            (#"{"config":{"image":"IMAGE","services":[{"internal_port":1}]}}"#, 422, "config.services"),
            (#"{"config":{"image":"IMAGE","init":{"tty":true}}}"#, 422, "config.init.tty"),
            (#"{"config":{"image":"IMAGE","dns":{"skip_registration":true}}}"#, 422, "config.dns"),
            (#"{"config":{"image":"IMAGE"},"lease_ttl":86400}"#, 422, "lease_ttl"),
            (#"{"config":{"image":"IMAGE","binds":[{"source":"/","target":"/host"}]}}"#, 400, "config.binds"),
            (#"{"config":{"image":"IMAGE","binds":[]}}"#, 400, "config.binds"),
            (#"{"config":{"image":"IMAGE","Env":{}}}"#, 400, "config.Env"),
            (#"{"config":{"image":"IMAGE","guest":{"devices":["/dev/sda"]}}}"#, 400, "config.guest.devices"),
            (#"{"config":{"image":"IMAGE","init":{"user":"0"}}}"#, 400, "config.init.user"),
            (#"{"config":{"image":"IMAGE"},"privileged":false}"#, 400, "privileged"),
            (#"{"config":{"image":"IMAGE","guest":{"memory_mb":8}}}"#, 422, "config.guest.memory_mb"),
            (#"{"config":{"image":"IMAGE","guest":{"memory_mb":"x"}}}"#, 400, "guest.memory_mb"),
            (#"{"config":{"image":"IMAGE","env":{"A=B":"x"}}}"#, 422, "config.env"),
            (#"{"config":{"image":"IMAGE","stop_config":{"timeout":"1h"}}}"#, 422, "config.stop_config.timeout"),
            (#"{"config":{"image":"IMAGE","berth":{"http":{"port":80,"path":"/mcp"}}}}"#, 422, "config.berth.http.port"),
            (#"{"config":{"image":"IMAGE","berth":{"http":{"port":8000,"path":"mcp"}}}}"#, 422, "config.berth.http.path"),
            (#"{"config":{"image":"IMAGE","berth":{"http":{"port":8000,"tls":true}}}}"#, 400, "config.berth.http.tls"),
            (#"{"config":{"image":"IMAGE","berth":{"binds":["/"]}}}"#, 400, "config.berth.binds"),
            (#"{"config":{"image":"nginx:latest"}}"#, 422, "config.image"),
            (#"{"config":{"image":"OTHER"}}"#, 422, "config.image"),
            (#"{"config":{}}"#, 400, "image"),
            (#"{"name":"No Name","config":{"image":"IMAGE"}}"#, 422, "name"),
            (#"{"region":"fra","config":{"image":"IMAGE"}}"#, 422, "region"),
            (#"{"name":"x"}"#, 400, "config"),
            ("{", 400, "body"),
        ])
    func refusals(body: String, status: Int, field: String) async throws {
        try await withFakeHost { host, client in
            try await client.createApp("web", org: "acme", appRoot: root)
            let text = body.replacingOccurrences(of: "IMAGE", with: FakeImages.digest)
                .replacingOccurrences(of: "OTHER", with: "sha256:" + String(repeating: "0", count: 64))
            let answer = try await ask("POST", "/v1/apps/web/machines", text, to: host.socket)
            let details = (answer.json as? [String: Any])?["details"] as? [String: Any]
            #expect(answer.status == status && details?["field"] as? String == field, "\(String(describing: answer.json))")
            #expect(try await client.machines(app: "web") == [])
        }
    }

    @Test("a token makes no machine that the gateway would take for its own, and makes none into one")
    func marks() async throws {
        try await withFakeHost { host, client in
            try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 3, count: 32))
            let (endpoint, token) = try host.tcp()
            func post(_ path: String, _ metadata: String) async throws -> (status: Int, field: String?) {
                let body = #"{"name":"m","config":{"image":"\#(FakeImages.digest)","metadata":\#(metadata)}}"#
                let answer = try await ask("POST", path, body, headers: [("authorization", "Bearer \(token)")], to: endpoint)
                return (answer.status, ((answer.json as? [String: Any])?["details"] as? [String: Any])?["field"] as? String)
            }
            for mark in ["berth_generation", "berth_connector", "berth_principal"] {
                let made = try await post("/v1/apps/web/machines", #"{"\#(mark)":"1"}"#)
                #expect(made == (422, "config.metadata.\(mark)"), "\(made)")
            }
            #expect(try await post("/v1/apps/web/machines", #"{"berth_era":"legacy","berth_ready":"agent","mine":"1"}"#).status == 200)
            let machine = try #require(try await client.machines(app: "web").first)
            _ = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            let changed = try await post("/v1/apps/web/machines/\(machine.id)", #"{"berth_generation":"1"}"#)
            #expect(changed == (422, "config.metadata.berth_generation"), "\(changed)")
            #expect(try await client.machine(app: "web", id: machine.id).config.metadata?["berth_generation"] == nil)
        }
    }

    @Test("TCP takes a token in either scheme, and only a host name of ours")
    func tokens() async throws {
        try await withFakeHost { host, _ in
            let (endpoint, token) = try host.tcp()
            func status(_ headers: [(String, String)]) async throws -> Int { try await ask("GET", "/v1/apps", headers: headers, to: endpoint).status }
            #expect(try await status([]) == 401)
            #expect(try await status([("authorization", "Bearer wrong")]) == 401)
            #expect(try await status([("authorization", "Basic \(token)")]) == 401)
            #expect(try await status([("authorization", "Bearer \(token)")]) == 200)
            #expect(try await status([("authorization", "FlyV1 fm2_xyz,\(token)")]) == 200)
            #expect(try await status([("authorization", "Bearer \(token)"), ("authorization", "Bearer \(token)")]) == 401)
            #expect(try await status([("authorization", "Bearer \(token)"), ("host", "evil.example")]) == 403)
            #expect(try await status([("authorization", "Bearer \(token)"), ("host", "machines.example")]) == 200)
            #expect(try await status([("authorization", "Bearer \(token)"), ("origin", "https://evil.example")]) == 403)
            for (method, path) in [("GET", "/v1/berth/bootstrap"), ("POST", "/v1/berth/uploads"), ("POST", "/v1/berth/stop-all")] {
                let answer = try await ask(method, path, headers: [("authorization", "Bearer \(token)")], to: endpoint)
                #expect(answer.status == 403 && (answer.json as? [String: Any])?["error"] as? String == "forbidden")
            }
        }
    }

    @Test("root on the socket: bootstrap, uploads, doctor, builds, stop-all", .enabled(if: geteuid() == 0, "needs root"))
    func own() async throws {
        try await withFakeHost { host, _ in
            let client = MachinesClient(endpoint: host.socket)
            func object(_ method: String, _ path: String, _ body: String? = nil, type: [(String, String)] = []) async throws -> [String: Any] {
                try #require(try await ask(method, path, body, headers: type, to: host.socket).json as? [String: Any])
            }
            let bootstrap = try await object("GET", "/v1/berth/bootstrap")
            #expect((bootstrap["machines_url"] as? String)?.hasPrefix("http://127.0.0.1:") == true)
            #expect((bootstrap["machines_token"] as? String ?? "").count > 40)
            let tar = String(repeating: "7", count: 3 << 20)
            let upload = try await object("POST", "/v1/berth/uploads", tar, type: [("content-type", "application/x-tar")])
            #expect((upload["digest"] as? String)?.hasPrefix("sha256:") == true)
            let report = try await object("GET", "/v1/berth/doctor")
            #expect((report["layers"] as? [[String: Any]])?.contains { $0["name"] as? String == "seccomp" } == true)
            #expect(Array(report.keys) == ["layers"])

            var events: [ImageBuildEvent] = []
            for try await event in client.build(ImageSource(pypi: "fine")) { events.append(event) }
            #expect(events.first == .step("resolving") && events.count == 2)
            guard case .done(let image) = events.last else { Issue.record("\(events)"); return }
            #expect(image.image == FakeImages.digest && image.packages == ["a==1"])
            events = []
            for try await event in client.build(ImageSource(pypi: "broken")) { events.append(event) }
            #expect(events.last == .failed(ImageBuildFailure(error: "unknown_package", message: "no such package", hint: "look again")))

            try await client.createApp("web", org: "acme", appRoot: root)
            let machine = try await client.create(app: "web", name: "m", config: FakeHost.config, skipLaunch: false)
            _ = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            #expect(try await object("POST", "/v1/berth/stop-all")["stopped"] as? Int == 1)
            #expect(await code { try await client.perform(.start, app: "web", id: machine.id) } == "503 going_down")
            await client.shutdown()
        }
    }

    @Test("the same port and token after a restart")
    func stableAddress() async throws {
        let first = try FakeHost()
        try await first.open()
        let before = try first.orchestrator.bootstrap()
        try await first.leave()
        let second = try FakeHost(directory: first.directory)
        try await second.open()
        #expect(try second.orchestrator.bootstrap() == before)
        try await second.close()
    }

    @Test("durations in Fly's spellings")
    func durations() {
        #expect(Duration(apiText: "10s") == .seconds(10))
        #expect(Duration(apiText: "1m30s") == .seconds(90))
        #expect(Duration(apiText: "250ms") == .milliseconds(250))
        #expect(Duration(apiText: "5000000000") == .seconds(5))
        for text in ["", "s", "5", "-1", "1d", "1s2"] where text != "5" { #expect(Duration(apiText: text) == nil, "\(text)") }
    }
}
