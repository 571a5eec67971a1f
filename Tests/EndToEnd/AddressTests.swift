import Door
import Foundation
import NIOCore
import NIOPosix
import Sealing
import TestSupport
import Testing
import Wire

/// A gateway that is not ours: it drives the Machines API, and reaches machines by Fly's addresses with tokens that it mints itself.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct AddressTests {
    private final class Gateway: Sendable {
        private let http = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
        let endpoint: Endpoint
        private let token: String
        let root: AppRoot
        let secret: [UInt8]

        init(url: String, token: String) throws {
            endpoint = try #require(Endpoint(door: url))
            self.token = token
            secret = try randomBytes(32)
            root = try AppRoot(secret: Secret(secret))
        }

        func ask(
            _ method: String, _ path: String, _ body: String? = nil, headers: [(String, String)] = []
        ) async throws -> (status: Int, headers: HTTPFields, json: [String: Any]) {
            let headers = [("authorization", "Bearer \(token)"), ("content-type", "application/json")] + headers
            let response = try await http.execute(
                method, path, headers: headers, body: body.map { ByteBuffer(string: $0) }, to: endpoint, headTimeout: .seconds(120))
            let bytes = try await response.collect(upTo: 1 << 20)
            let json = (try? JSONSerialization.jsonObject(with: Data(bytes.readableBytesView))) as? [String: Any]
            return (response.status, response.headers, json ?? [:])
        }

        /// A call of a tool, by an address.
        func call(
            _ tool: String, at host: String, _ keys: DoorKeys, headers: [(String, String)] = []
        ) async throws -> (status: Int, machine: String?, json: [String: Any], text: String?) {
            let token = try TokenMinter(keys: keys, org: "personal", sender: .random(in: .min ... .max)).mint(principal: "ann", session: "s").token
            let body = """
                {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\(tool)","arguments":{"text":"hi"},"_meta":{\
                "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},\
                "io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}}}
                """
            let answer = try await ask("POST", "/mcp", body, headers: [("host", host), (HostedToken.headerName, token)] + headers)
            let content = (answer.json["result"] as? [String: Any])?["content"] as? [[String: Any]]
            return (answer.status, answer.headers["x-berth-machine"], answer.json, content?.first?["text"] as? String)
        }

        func machine(_ id: String) async throws -> (state: String, keys: DoorKeys?) {
            let told = try await ask("GET", "/v1/apps/own/machines/\(id)").json
            let boot = (told["berth"] as? [String: Any])?["boot_id"] as? String
            return (told["state"] as? String ?? "", try boot.map { try DoorKeys(root: root, machine: id, boot: $0) })
        }
    }

    private func gateway(_ berth: Berth) async throws -> (Gateway, [String: Any]) {
        try await berth.up()
        try await berth.add("fixture", fixture: "fixture.py")
        let socket = "/run/berth/\(try berth.key)/machines.sock"
        let answer = try await Command.run(["/usr/bin/curl", "-sS", "--unix-socket", socket, "http://machines/v1/berth/bootstrap"])
        let told = try JSONSerialization.jsonObject(with: Data(answer.output.utf8)) as? [String: Any]
        let gateway = try Gateway(url: try #require(told?["machines_url"] as? String), token: try #require(told?["machines_token"] as? String))
        let root = Base64URL.encode(gateway.secret)
        let made = try await gateway.ask("POST", "/v1/apps", #"{"app_name":"own","org_slug":"personal","berth":{"app_root":"\#(root)"}}"#)
        #expect(made.status == 201, "\(made)")
        let machines = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        var config = try #require(machines.first?["config"] as? [String: Any])
        config["metadata"] = nil
        config["berth"] = ["app_tokens": true, "concurrency": ["hard_limit": 10]]
        return (gateway, config)
    }

    private func machine(_ gateway: Gateway, _ name: String, _ config: [String: Any]) async throws -> String {
        let body = String(decoding: try JSONSerialization.data(withJSONObject: ["name": name, "config": config]), as: UTF8.self)
        let made = try await gateway.ask("POST", "/v1/apps/own/machines", body)
        let id = try #require(made.json["id"] as? String, "\(made)")
        let waited = try await gateway.ask("GET", "/v1/apps/own/machines/\(id)/wait?state=started&timeout=60")
        #expect(waited.status == 200, "\(waited)")
        return id
    }

    @Test func anotherGatewayReachesAppsAndPinnedMachines() async throws {
        try await Berth.run { berth in
            let (gateway, config) = try await gateway(berth)
            let (one, two) = (try await machine(gateway, "one", config), try await machine(gateway, "two", config))
            let app = try DoorKeys(root: gateway.root, app: "own")

            // By the app: whichever machine, and the least loaded.
            let any = try await gateway.call("echo", at: "own.internal", app)
            #expect(any.status == 200 && any.text == "hi" && [one, two].contains(any.machine ?? ""), "\(any) \(berth.log)")

            // Pinned: a session's process is the same, by either spelling; a sibling's token opens nothing.
            let first = try #require(await gateway.machine(one).keys)
            let by = try await gateway.call("identity", at: "\(one).vm.own.internal", first)
            let forced = try await gateway.call("identity", at: "own.internal", first, headers: [("fly-force-instance-id", one)])
            #expect(by.status == 200 && by.text != nil && by.text == forced.text && forced.machine == one, "\(by) \(forced)")
            let astray = try await gateway.call("identity", at: "own.internal", first, headers: [("fly-force-instance-id", two)])
            #expect(astray.status == 401 && astray.json["reason"] as? String == "bad_signature", "\(astray)")

            // Its own token opens no other app's machine, whoever may use the API.
            let machines = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
            let hosted = try #require(machines.first { ![one, two].contains($0["id"] as? String ?? "") })
            let foreign = try #require(hosted["id"] as? String)
            let name = try #require(hosted["app"] as? String ?? (hosted["config"] as? [String: Any])?["app"] as? String)
            for host in ["\(name).internal", "\(foreign).vm.\(name).internal"] {
                for keys in [app, first] { #expect(try await gateway.call("echo", at: host, keys).status == 401) }
            }

            // Both stopped: the app's address starts one, a machine's own does not, and the old boot's token is stale.
            for id in [one, two] {
                #expect(try await gateway.ask("POST", "/v1/apps/own/machines/\(id)/stop").status == 200)
                #expect(try await gateway.ask("GET", "/v1/apps/own/machines/\(id)/wait?state=stopped&timeout=60").status == 200)
            }
            let asleep = try await gateway.call("echo", at: "\(one).vm.own.internal", first)
            #expect(asleep.status == 503 && asleep.json["error"] as? String == "machine_stopped", "\(asleep)")
            var waked = try await gateway.call("echo", at: "own.internal", app, headers: [("fly-prefer-instance-id", two)])
            // Each attempt has a token of its own; that of the first may be older than the machine.
            if waked.status == 503, waked.json["error"] as? String == "machine_woken" { waked = try await gateway.call("echo", at: "own.internal", app) }
            #expect(waked.status == 200 && waked.text == "hi", "\(waked) \(berth.log)")
            let forcedUp = try await gateway.call("echo", at: "own.internal", first, headers: [("fly-force-instance-id", one)])
            #expect(forcedUp.status == 401 && forcedUp.json["reason"] as? String == "bad_signature", "\(forcedUp)")
            #expect(try await gateway.machine(one).state == "started")
        }
    }
}
