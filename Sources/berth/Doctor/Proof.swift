import AuthorCommands
import Glibc
import JSONText
import NIOCore
import Sealing

/// `berth doctor --prove`: hosts ``AttackServer`` in a machine of its own and runs every attack through the gateway, beside
/// a neighbour in the same machine that must live through all of them.
struct Proof {
    let installation: Installation
    private let name: String
    /// Of everything that a proof makes; too long to be somebody's own by accident.
    private static let prefix = "prove-attack-"

    init(_ installation: Installation) throws {
        self.installation = installation
        name = Self.prefix + Hex.encode(try randomBytes(4))
    }

    struct Finding {
        var attack: String
        var title: String
        var refused: Bool
        var detail: String
    }

    /// One child of the machine, as it describes itself.
    private struct Child: Equatable {
        var pid: Int
        var uid: Int
        var started: String
        /// The machine's process namespace: another boot has another.
        var boot: String
    }

    struct Session {
        var url: String
        var token: String
    }

    /// Runs all attacks; whatever happens, the connector, its machine, tokens and virtual MCP are removed again.
    func run(say: (Finding) -> Void) async throws -> [Finding] {
        let gateway = ControlClient.gateway(installation)
        await removeRemains(gateway)
        var writer = TarWriter()
        writer.file("server.py", Array(AttackServer.source.utf8), executable: false)
        let upload = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", writer.finish())
        let digest = upload["digest"] ?? .null
        let inside = try await hosting(name, digest) { try await attackAll(gateway, say) }
        let second = name + "-out"
        let outwards = try await hosting(second, digest, egress: AttackServer.egressList) { try await attackOutwards(second, gateway, say) }
        return inside + outwards
    }

    /// Runs `body` beside a connector of the attacking server, which is removed again.
    private func hosting(
        _ connector: String, _ upload: JSONValue, egress: [String] = [], _ body: () async throws -> [Finding]
    ) async throws -> [Finding] {
        try await Provisioning.quietly(
            .record(
                ("name", .string(connector)), ("source", .record(("upload", upload))),
                ("command", .strings(["/usr/bin/python3", "server.py"] + (egress.isEmpty ? [] : ["egress"]))),
                ("egress", egress.isEmpty ? nil : .strings(egress))), installation)
        let gateway = ControlClient.gateway(installation)
        do {
            _ = try await gateway.json("POST", "/api/v1/vmcps", .record(("name", .string(connector)), ("connectors", .strings([connector]))))
            let findings = try await body()
            try await cleanUp(connector, gateway)
            return findings
        } catch {
            try? await cleanUp(connector, gateway)
            throw error
        }
    }

    /// What an earlier proof left that was interrupted before it could clean up.
    private func removeRemains(_ gateway: ControlClient) async {
        for (list, path) in [("vmcps", "/api/v1/vmcps"), ("connectors", "/api/v1/connectors")] {
            for row in (try? await gateway.get(path))?[list]?.arrayValue ?? [] {
                guard let name = row["name"]?.stringValue, name.hasPrefix(Self.prefix) else { continue }
                _ = try? await gateway.json("DELETE", "\(path)/\(name)")
            }
        }
    }

    private func attackAll(_ gateway: ControlClient, _ say: (Finding) -> Void) async throws -> [Finding] {
        let attacker = try await session("prove-attacker", name, gateway)
        let victim = try await session("prove-victim", name, gateway)
        let neighbour = try await alive(victim)
        var attacking = try await alive(attacker)
        guard attacking.boot == neighbour.boot, attacking.pid != neighbour.pid, attacking.uid != neighbour.uid else {
            throw Failure("the attacker and its neighbour are not two children of one machine: \(attacking), \(neighbour)")
        }
        let paths = [installation.orchestratorState + "/keys", installation.gatewayState, installation.controlSocket]
        let absent = (AttackServer.hostPaths + paths).filter { access($0, F_OK) != 0 && errno == ENOENT }
        let control = try ProofControl.refusedOutside()
        let arguments: JSONValue = .record(
            ("sibling", .int(neighbour.pid)), ("host_paths", .strings(paths)), ("absent", .strings(absent)),
            ("control", .strings(control ?? [])))
        var findings: [Finding] = []
        for (attack, title) in AttackServer.attacks {
            var finding = Finding(attack: attack, title: title, refused: false, detail: "")
            do {
                let answer = try await call(attack, arguments, attacker)
                finding.refused = answer["refused"]?.boolValue == true
                finding.detail = answer.cell("detail")
                if attack == "kernel_doors", control == nil { finding.detail += "; no control: the host has no \(ProofControl.python)" }
            } catch let failure as Failure {
                finding.detail = failure.message
                let next = try await alive(attacker)
                if attack == "memory_bomb", next.boot == attacking.boot, next.pid != attacking.pid {
                    finding.refused = true
                    finding.detail = "the child was killed for it, and only the child (\(failure.message))"
                }
                attacking = next
            }
            // The very same process, in the same boot: there was somebody to attack, and nothing happened to it.
            if try await alive(victim) != neighbour {
                finding.refused = false
                finding.detail += "; THE NEIGHBOUR DID NOT LIVE THROUGH IT"
            } else if attack == "sibling_environment" {
                finding.detail += "; process \(neighbour.pid) of the same machine lives on"
            }
            say(finding)
            findings.append(finding)
        }
        return findings
    }

    func session(_ principal: String, _ name: String, _ gateway: ControlClient) async throws -> Session {
        let answer = try await gateway.json(
            "POST", "/api/v1/tokens", .record(("principal", .string(principal)), ("vmcp", .string(name)), ("expires_in", .int(600))))
        return Session(url: answer.cell("url"), token: answer.cell("token"))
    }

    private func alive(_ session: Session) async throws -> Child {
        let answer = try await call("alive", .record(), session)
        guard let pid = answer["pid"]?.intValue, let uid = answer["uid"]?.intValue, let started = answer["started"]?.stringValue,
            let boot = answer["boot"]?.stringValue
        else { throw Failure("a child of the proof's machine does not say who it is: \(answer.text)") }
        return Child(pid: pid, uid: uid, started: started, boot: boot)
    }

    func call(_ tool: String, _ arguments: JSONValue, _ session: Session) async throws -> JSONValue {
        let result = try await ToolCall.run(tool, arguments, url: session.url, token: session.token, socket: installation.controlSocket)
        let text = result["content"]?[0]?["text"]?.stringValue ?? "{}"
        return try JSONValue(parsing: text)
    }

    private func cleanUp(_ name: String, _ gateway: ControlClient) async throws {
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
