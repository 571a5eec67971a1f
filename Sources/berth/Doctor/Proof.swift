import JSONText
import NIOCore
import Sealing

/// `berth doctor --prove`: hosts ``AttackServer`` in a machine of its own and runs every attack through the gateway.
struct Proof {
    let installation: Installation
    private let name: String

    init(_ installation: Installation) throws {
        self.installation = installation
        name = "prove-" + Hex.encode(try randomBytes(4))
    }

    struct Finding {
        var attack: String
        var title: String
        var refused: Bool
        var detail: String
    }

    /// Runs all attacks; whatever happens, the connector, its machine, tokens and virtual MCP are removed again.
    func run(say: (Finding) -> Void) async throws -> [Finding] {
        let gateway = ControlClient.gateway(installation)
        var writer = TarWriter()
        writer.file("server.py", Array(AttackServer.source.utf8), executable: false)
        let upload = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", writer.finish())
        try await Provisioning.quietly(
            .record(
                ("name", .string(name)), ("source", .record(("upload", upload["digest"] ?? .null))),
                ("command", .strings(["/usr/bin/python3", "server.py"])), ("env", .strings(["OF": "attacker"]))), installation)
        do {
            let findings = try await attackAll(gateway, say)
            try await cleanUp(gateway)
            return findings
        } catch {
            try? await cleanUp(gateway)
            throw error
        }
    }

    private func attackAll(_ gateway: ControlClient, _ say: (Finding) -> Void) async throws -> [Finding] {
        _ = try await gateway.json("POST", "/api/v1/vmcps", .record(("name", .string(name)), ("connectors", .strings([name]))))
        let attacker = try await token("prove-attacker", gateway)
        let victim = try await token("prove-victim", gateway)
        var findings: [Finding] = []
        for (attack, title) in AttackServer.attacks {
            // The victim's child is alive beside the attacker's, so that there is a sibling to read.
            _ = try await call("become_root", victim)
            var finding = Finding(attack: attack, title: title, refused: false, detail: "")
            do {
                let answer = try await call(attack, attacker)
                finding.refused = answer["refused"]?.boolValue == true
                finding.detail = answer.cell("detail")
            } catch let failure as Failure where attack == "memory_bomb" {
                // The child was killed for it, and only the child: the machine answers its neighbour.
                finding.refused = try await call("become_root", victim)["refused"]?.boolValue == true
                finding.detail = "the child was killed (\(failure.message)); its neighbour answers"
            }
            say(finding)
            findings.append(finding)
        }
        return findings
    }

    private func token(_ principal: String, _ gateway: ControlClient) async throws -> (url: String, token: String) {
        let answer = try await gateway.json(
            "POST", "/api/v1/tokens", .record(("principal", .string(principal)), ("vmcp", .string(name)), ("expires_in", .int(600))))
        return (answer.cell("url"), answer.cell("token"))
    }

    private func call(_ attack: String, _ who: (url: String, token: String)) async throws -> JSONValue {
        let result = try await MCPCall.tool(attack, arguments: .record(), url: who.url, token: who.token)
        let text = result["content"]?[0]?["text"]?.stringValue ?? "{}"
        return try JSONValue(parsing: text)
    }

    private func cleanUp(_ gateway: ControlClient) async throws {
        _ = try? await gateway.json("DELETE", "/api/v1/vmcps/\(name)")
        _ = try await gateway.json("DELETE", "/api/v1/connectors/\(name)")
    }
}

extension Provisioning {
    /// An `add` that says nothing unless it fails.
    static func quietly(_ body: JSONValue, _ installation: Installation) async throws {
        var failure: JSONValue?
        try await ControlClient.gateway(installation).lines("POST", "/api/v1/connectors", body) { event in
            if event["event"]?.stringValue == "failed" { failure = event }
        }
        if let failure { throw Failure("the proof's machine did not start: " + failure.cell("message"), hint: failure["hint"]?.stringValue) }
    }
}
