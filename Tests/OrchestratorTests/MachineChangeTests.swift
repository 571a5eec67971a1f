import Door
import Foundation
import MachineAPI
import NIOCore
import Synchronization
import Testing
import Wire

@testable import Orchestrator

/// Leases, metadata, cordon, signals, versions and updates through the API, over machines in memory.
struct MachineChangeTests {
    private typealias Answer = (status: Int, json: [String: Any])

    /// One host, its client, and a machine that is up.
    private struct Rig {
        let host: FakeHost
        let client: MachinesClient
        let id: String
        var path: String { "/v1/apps/web/machines/\(id)" }

        func ask(_ method: String, _ path: String, _ body: String? = nil, nonce: String? = nil) async throws -> Answer {
            let http = HTTPClient()
            var headers = nonce.map { [("fly-machine-lease-nonce", $0)] } ?? []
            if body != nil { headers.append(("content-type", "application/json")) }
            let response = try await http.execute(
                method, self.path + path, headers: headers, body: body.map { ByteBuffer(string: $0) }, to: host.socket)
            let bytes = try await response.collect(upTo: 1 << 20)
            await http.shutdown()
            let json = try? JSONSerialization.jsonObject(with: Data(bytes.readableBytesView), options: .fragmentsAllowed)
            return (response.status, json as? [String: Any] ?? ["list": json as Any])
        }

        func machine(_ state: MachineState) async throws -> Machine { try await client.wait(app: "web", id: id, for: state, seconds: 60) }
    }

    private func withMachine(_ body: (Rig) async throws -> Void) async throws {
        try await withFakeHost { host, client in
            try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 3, count: 32))
            let machine = try await client.create(app: "web", name: "m", config: FakeHost.config, skipLaunch: false)
            _ = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            try await body(Rig(host: host, client: client, id: machine.id))
        }
    }

    // MARK: Leases

    @Test("who holds the lease changes the machine, and nobody else does")
    func leases() async throws {
        try await withMachine { (rig) async throws in
            #expect(try await rig.ask("GET", "/lease").status == 404)
            let taken = try await rig.ask("POST", "/lease", #"{"ttl":60,"description":"deploy"}"#)
            let lease = try #require(taken.json["data"] as? [String: Any])
            let nonce = try #require(lease["nonce"] as? String)
            #expect(taken.status == 201 && taken.json["status"] as? String == "success" && nonce.count == 12)
            let rest = (lease["expires_at"] as? Double ?? 0) - Date().timeIntervalSince1970
            #expect((30...61).contains(rest) && lease["owner"] as? String == "root" && lease["description"] as? String == "deploy")

            let seen = try await rig.ask("GET", "/lease").json["data"] as? [String: Any]
            #expect(seen?["owner"] as? String == "root" && seen?["nonce"] == nil, "a nonce is its holder's")
            #expect((try await rig.ask("GET", "/lease", nonce: nonce).json["data"] as? [String: Any])?["nonce"] as? String == nonce)

            let writes: [(String, String, String?)] = [
                ("POST", "/stop", nil), ("POST", "/start", nil), ("POST", "/restart", nil), ("POST", "/suspend", nil), ("POST", "/cordon", nil),
                ("POST", "/signal", #"{"signal":"SIGTERM"}"#), ("PUT", "/metadata", #"{"metadata":{}}"#), ("POST", "/metadata/a", #"{"value":"b"}"#),
                ("POST", "", #"{"config":{"image":"\#(FakeImages.digest)"}}"#), ("DELETE", "?force=true", nil), ("POST", "/lease", nil),
                ("DELETE", "/metadata/a", nil),
            ]
            for (method, path, body) in writes {
                for wrong in [nil, "000000000000"] {
                    let refused = try await rig.ask(method, path, body, nonce: wrong)
                    #expect(refused.status == 409 && refused.json["status"] as? String == "lease_held", "\(method) \(path) \(refused)")
                    let told = refused.json["error"] as? String ?? ""
                    #expect(told.hasPrefix("aborted: machine ID \(rig.id) lease currently held by root, expires at"))
                }
            }
            #expect(try await rig.client.machine(app: "web", id: rig.id).state == .started)
            #expect(try await rig.ask("DELETE", "/lease", nonce: "000000000000").status == 409)

            let longer = try await rig.ask("POST", "/lease?ttl=600", nonce: nonce).json["data"] as? [String: Any]
            #expect(longer?["nonce"] as? String == nonce && (longer?["expires_at"] as? Int ?? 0) > (lease["expires_at"] as? Int ?? 0))
            #expect(longer?["description"] as? String == "deploy")
            #expect(try await rig.ask("POST", "/cordon", nonce: nonce).status == 200)
            #expect(try await rig.ask("DELETE", "/lease", nonce: nonce).status == 200)
            #expect(try await rig.ask("POST", "/uncordon").status == 200)
            // A holder whose lease is over must not go on as if it were not.
            let late = try await rig.ask("POST", "/cordon", nonce: nonce)
            #expect(late.status == 409 && late.json["status"] as? String == "lease_expired")
        }
    }

    @Test("a lease ends by itself; root may end anybody's; its length is bounded")
    func leaseEnds() async throws {
        try await withMachine { (rig) async throws in
            for body in [#"{"ttl":0}"#, #"{"ttl":3601}"#, #"{"ttl":"x"}"#] {
                #expect(try await rig.ask("POST", "/lease", body).status == 422, "\(body)")
            }
            #expect(try await rig.ask("POST", "/lease", #"{"ttl":1}"#).status == 201)
            _ = try await eventually("its end") { try await rig.ask("POST", "/cordon").status == 200 ? true : nil }
            #expect(try await rig.ask("POST", "/lease").status == 201)
            #expect(try await rig.ask("DELETE", "/lease").status == 400)
            #expect(try await rig.ask("DELETE", "/lease?force=true").status == 200)
            #expect(try await rig.ask("DELETE", "/lease?force=true").status == 404)
        }
    }

    @Test("a machine made with a lease is its maker's; its app goes by force alone")
    func leasedFromTheStart() async throws {
        try await withMachine { (rig) async throws in
            let body = #"{"name":"mine","lease_ttl":60,"config":{"image":"\#(FakeImages.digest)"},"skip_launch":true}"#
            let other = Rig(host: rig.host, client: rig.client, id: "")
            let made = try await other.ask("POST", "", body)
            #expect(made.status == 200 && (made.json["nonce"] as? String)?.count == 12, "\(made)")
            let mine = Rig(host: rig.host, client: rig.client, id: made.json["id"] as? String ?? "")
            #expect(try await mine.ask("POST", "/start").status == 409)
            #expect(try await mine.ask("GET", "").json["nonce"] == nil)
            #expect(try await mine.ask("POST", "/start", nonce: made.json["nonce"] as? String).status == 200)
            let http = HTTPClient()
            let (endpoint, token) = try rig.host.tcp()
            let forced = try await http.execute(
                "DELETE", "/v1/apps/web?force=true", headers: [("authorization", "Bearer \(token)")], body: nil, to: endpoint)
            #expect(forced.status == 409, "a token ends nobody's lease")
            let refused = try await http.execute("DELETE", "/v1/apps/web", headers: [], body: nil, to: rig.host.socket)
            _ = try await refused.collect(upTo: 1 << 16)
            await http.shutdown()
            #expect(refused.status == 409)
            // A lease ends with its machine.
            #expect(try await mine.ask("DELETE", "?force=true", nonce: made.json["nonce"] as? String).status == 200)
            #expect(try await mine.ask("GET", "/lease").status == 404)
            try await rig.client.deleteApp("web")
        }
    }

    // MARK: Metadata, cordon

    @Test("metadata changes without a new version and without a restart; what the gateway needs stays")
    func metadata() async throws {
        try await withMachine { (rig) async throws in
            let before = try await rig.client.machine(app: "web", id: rig.id)
            try await rig.host.reconciler.change(rig.id) { $0.config.metadata = ["berth_connector": "time", "old": "1"]; return nil }
            #expect(try await rig.ask("PUT", "/metadata", #"{"metadata":{"a":"1","b":"2"}}"#).status == 204)
            #expect(try await rig.ask("GET", "/metadata").json as? [String: String] == ["berth_connector": "time", "a": "1", "b": "2"])
            let merged = #"{"metadata":{"a":"","c":"3"},"machine_version":"\#(before.instance_id)"}"#
            #expect(try await rig.ask("PATCH", "/metadata", merged).status == 204)
            #expect(try await rig.ask("POST", "/metadata/d", #"{"value":"4"}"#).status == 204)
            #expect(try await rig.ask("GET", "/metadata/d").json as? [String: String] == ["value": "4"])
            #expect(try await rig.ask("DELETE", "/metadata/b").status == 204)
            #expect(try await rig.ask("GET", "/metadata/b").status == 404)
            #expect(try await rig.ask("GET", "/metadata").json as? [String: String] == ["berth_connector": "time", "c": "3", "d": "4"])
            let stale = #"{"metadata":{"a":"1"},"machine_version":"01AAAAAAAAAAAAAAAAAAAAAAAA"}"#
            #expect(try await rig.ask("PATCH", "/metadata", stale).status == 412)
            #expect(try await rig.ask("PATCH", "/metadata", #"{"metadata":{"a":"1"},"updated_at":"2020-01-01T00:00:00.000Z"}"#).status == 412)
            for (method, path, body, status) in [
                ("PATCH", "/metadata", #"{"metadata":{"berth_connector":"other"}}"#, 422), ("DELETE", "/metadata/berth_connector", nil, 422),
                ("PATCH", "/metadata", #"{"metadata":{"a":1}}"#, 400), ("PATCH", "/metadata", #"{"metadata":{"":"1"}}"#, 422),
                ("PUT", "/metadata", "{}", 400), ("POST", "/metadata/a", "{}", 400),
                ("PATCH", "/metadata", #"{"metadata":{"a":"\#(String(repeating: "x", count: 140_000))"}}"#, 422),
            ] as [(String, String, String?, Int)] {
                #expect(try await rig.ask(method, path, body).status == status, "\(method) \(path) \(body?.prefix(60) ?? "")")
            }
            let after = try await rig.client.machine(app: "web", id: rig.id)
            #expect(after.instance_id == before.instance_id && after.berth?.boot_id == before.berth?.boot_id && after.state == .started)
            #expect(after.config.metadata == ["berth_connector": "time", "c": "3", "d": "4"])
        }
    }

    @Test("a cordon is told, is in the history once, and survives the orchestrator")
    func cordon() async throws {
        try await withMachine { (rig) async throws in
            for _ in 0..<2 { #expect(try await rig.ask("POST", "/cordon").status == 200) }
            let machine = try await rig.client.machine(app: "web", id: rig.id)
            #expect(machine.cordoned == true && machine.state == .started)
            #expect(machine.events?.filter { $0.type == "cordon" }.count == 1)
            #expect(try await rig.host.store.machine(rig.id)?.isCordoned == true)
            #expect(try await rig.ask("POST", "/uncordon").status == 200)
            #expect(try await rig.client.machine(app: "web", id: rig.id).cordoned == nil)
        }
    }

    // MARK: Signals, processes

    @Test("a signal reaches process 1, by name or number; one that stands still is waked for it")
    func signals() async throws {
        try await withMachine { (rig) async throws in
            for (body, status) in [(#"{"signal":"SIGNOTHING"}"#, 400), ("{}", 400), (#"{"signal":99}"#, 400), (#"{"signal":"SIGUSR1"}"#, 422)] {
                #expect(try await rig.ask("POST", "/signal", body).status == status, "\(body)")
            }
            rig.host.runtime.state.withLock { $0.ignoresTerm = true }
            #expect(try await rig.ask("POST", "/signal", #"{"signal":2}"#).status == 200)
            #expect(try await rig.ask("POST", "/suspend").status == 200)
            _ = try await rig.machine(.suspended)
            #expect(try await rig.ask("POST", "/signal", #"{"signal":"SIGINT"}"#).status == 200)
            #expect(rig.host.runtime.state.withLock { $0.story } == ["signal 2", "freeze", "thaw", "signal 2"])
            rig.host.runtime.state.withLock { $0.ignoresTerm = false }
            #expect(try await rig.ask("POST", "/signal", #"{"signal":"SIGTERM"}"#).status == 200)
            // Ended in order, which is no failure.
            _ = try await rig.machine(.stopped)
            #expect(try await rig.ask("POST", "/signal", #"{"signal":"SIGTERM"}"#).status == 412)
            #expect(try await rig.ask("GET", "/ps").status == 412)
        }
    }

    @Test("processes, in the order that is asked for")
    func processes() async throws {
        try await withMachine { (rig) async throws in
            func pids(_ query: String) async throws -> [Int]? {
                (try await rig.ask("GET", "/ps\(query)").json["list"] as? [[String: Any]])?.compactMap { $0["pid"] as? Int }
            }
            #expect(try await pids("") == [1, 7, 9])
            #expect(try await pids("?sort_by=rss") == [7, 9, 1])
            #expect(try await pids("?sort_by=rss&order=desc") == [1, 9, 7])
            #expect(try await rig.ask("GET", "/ps?sort_by=name").status == 400)
            #expect(try await rig.ask("GET", "/ps?order=up").status == 400)
        }
    }

    // MARK: Updates

    private func config(_ level: String, image: String = FakeImages.digest) -> String {
        #"{"image":"\#(image)","env":{"LEVEL":"\#(level)"},"guest":{"memory_mb":64}}"#
    }

    /// The environment of a boot, by its door.
    private static func level(_ door: String, _ runtime: FakeRuntime) -> String? {
        let spec = runtime.state.withLock { state in state.specs.first { spec in spec.doorPath.map { door.hasSuffix($0) } ?? false } }
        return spec.flatMap { try? BootDocument(decoding: $0.bootDocument) }?.environment["LEVEL"]
    }

    @Test("an update is a new version in a new boot, for whoever knows the present one")
    func update() async throws {
        try await withMachine { (rig) async throws in
            let before = try await rig.machine(.started)
            let stale = try await rig.ask("POST", "", #"{"config":\#(config("1")),"current_version":"01AAAAAAAAAAAAAAAAAAAAAAAA"}"#)
            #expect(stale.status == 409 && stale.json["status"] as? String == "version_mismatch")
            let updated = try await rig.ask("POST", "", #"{"config":\#(config("1")),"current_version":"\#(before.instance_id)"}"#)
            #expect(updated.status == 200 && updated.json["state"] as? String == "replacing")
            #expect(updated.json["instance_id"] as? String != before.instance_id)
            let after = try await rig.machine(.started)
            #expect(after.config.env == ["LEVEL": "1"] && after.berth?.boot_id != before.berth?.boot_id)
            #expect(try await rig.host.store.machine(rig.id)?.fallback == nil)
            let versions = try await rig.ask("GET", "/versions").json["list"] as? [[String: Any]]
            #expect(versions?.compactMap { $0["version"] as? String } == [after.instance_id, before.instance_id])
            #expect(((versions?.last?["user_config"] as? [String: Any])?["env"] as? [String: String]) == ["B": "2"])
            let old = try await rig.ask("GET", "/wait?version=\(before.instance_id)")
            #expect(old.status == 400 && (old.json["error"] as? String)?.contains("currently replaced") == true)
            #expect(try await rig.ask("GET", "/wait?instance_id=\(after.instance_id)").status == 200)
        }
    }

    @Test("what does not become ready gives way to the version before it, which serves again")
    func rollBack() async throws {
        try await withMachine { (rig) async throws in
            let before = try await rig.machine(.started)
            rig.host.door.decide.withLock { [runtime = rig.host.runtime] in $0 = { Self.level($0, runtime) == "bad" ? .no("it is broken") : .yes } }
            #expect(try await rig.ask("POST", "", #"{"config":\#(config("bad"))}"#).status == 200)
            let after = try await eventually("the old version") {
                let machine = try await rig.client.machine(app: "web", id: rig.id)
                return machine.state == .started && machine.instance_id == before.instance_id ? machine : nil
            }
            #expect(after.config == before.config && after.berth?.boot_id != before.berth?.boot_id)
            #expect(after.events?.contains { $0.type == "update" && $0.reason?.contains("it is broken; the one before it is back") == true } == true)
            let row = try #require(try await rig.host.store.machine(rig.id))
            #expect(row.fallback == nil && row.config == before.config)
        }
    }

    @Test("an orchestrator that ends during the trial leaves it to the next one")
    func rollBackLater() async throws {
        let first = try FakeHost()
        try await first.open()
        let client = MachinesClient(endpoint: try first.tcp().endpoint, token: try first.tcp().token)
        try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 3, count: 32))
        let machine = try await client.create(app: "web", name: "m", config: FakeHost.config, skipLaunch: false)
        let before = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
        first.door.answer.withLock { $0 = .silence("not yet") }
        let rig = Rig(host: first, client: client, id: machine.id)
        #expect(try await rig.ask("POST", "", #"{"config":\#(config("bad"))}"#).status == 200)
        _ = try await eventually("the new boot") { try await first.store.machine(machine.id).flatMap { $0.state == .starting ? true : nil } }
        _ = try await eventually("a running boot") { first.runtime.state.withLock { $0.running.values.contains(true) ? true : nil } }
        await client.shutdown()
        try await first.leave()

        let second = try FakeHost(directory: first.directory, runtime: FakeRuntime())
        second.runtime.state.withLock { [old = first.runtime.state.withLock { $0 }] in
            $0.running = old.running
            $0.specs = old.specs
        }
        second.door.decide.withLock { [runtime = second.runtime] in $0 = { Self.level($0, runtime) == "bad" ? .no("it is broken") : .yes } }
        try await second.open()
        let row = try await eventually("the old version") {
            try await second.store.machine(machine.id).flatMap { $0.state == .started && $0.instance == before.instance_id ? $0 : nil }
        }
        #expect(row.fallback == nil && row.config == before.config)
        try await second.close()
    }

    @Test("an update that cannot be is refused whole")
    func refusedUpdates() async throws {
        try await withMachine { (rig) async throws in
            let before = try await rig.machine(.started)
            let unknown = config("1", image: "sha256:" + String(repeating: "0", count: 64))
            for (body, status) in [
                (#"{"config":\#(unknown)}"#, 422), (#"{"name":"other","config":\#(config("1"))}"#, 422), (#"{"config":{}}"#, 400),
                (#"{"region":"fra","config":\#(config("1"))}"#, 422), (#"{"config":\#(config("1")),"binds":[]}"#, 400), ("{}", 400),
            ] {
                #expect(try await rig.ask("POST", "", body).status == status, "\(body)")
            }
            try await rig.host.reconciler.change(rig.id) { $0.config.metadata = ["berth_connector": "time"]; return nil }
            let managed = try await rig.ask("POST", "", #"{"config":\#(config("1"))}"#)
            #expect(managed.status == 412 && managed.json["status"] as? String == "managed")
            try await rig.host.reconciler.change(rig.id) { $0.config.metadata = nil; return nil }

            rig.host.door.answer.withLock { $0 = .silence("slow") }
            #expect(try await rig.ask("POST", "/restart").status == 200)
            let early = try await rig.ask("POST", "", #"{"config":\#(config("1"))}"#)
            #expect(early.status == 409 && early.json["status"] as? String == "not_settled")
            rig.host.door.answer.withLock { $0 = .yes }
            #expect(try await rig.machine(.started).instance_id == before.instance_id)
        }
    }

    @Test("without a launch a running machine runs on, and its next boot has the new version")
    func later() async throws {
        try await withMachine { (rig) async throws in
            let before = try await rig.machine(.started)
            #expect(try await rig.ask("POST", "", #"{"config":\#(config("1")),"skip_launch":true}"#).status == 200)
            #expect(try await rig.machine(.started).berth?.boot_id == before.berth?.boot_id)
            try await rig.client.perform(.restart, app: "web", id: rig.id)
            let after = try await rig.machine(.started)
            let last = try #require(rig.host.runtime.state.withLock { $0.specs.last })
            let document = try BootDocument(decoding: last.bootDocument)
            #expect(after.berth?.boot_id == last.boot && document.environment["LEVEL"] == "1")
        }
    }
}
