import AuthorCommands
import JSONText
import Wire

/// The attacks of a machine that has a way out.
extension Proof {
    /// Runs each, and holds against it what the orchestrator counted: that nothing came back shows little where nobody is there.
    func attackOutwards(_ name: String, _ gateway: ControlClient, _ say: (Finding) -> Void) async throws -> [Finding] {
        let attacker = try await session("prove-attacker", name, gateway)
        var findings: [Finding] = []
        for (attack, title, expected) in AttackServer.egressAttacks {
            var finding = Finding(attack: attack, title: title, refused: false, detail: "")
            do {
                let answer = try await call(attack, .record(), attacker)
                finding.refused = answer["refused"]?.boolValue == true
                finding.detail = answer.cell("detail")
            } catch let failure as Failure {
                finding.detail = failure.message
            }
            for counted in expected {
                let what = "\(counted.host):\(counted.port) \(counted.reason)"
                if try await isCounted(counted, of: name) {
                    finding.detail += "; counted: \(what)"
                } else {
                    finding.refused = false
                    finding.detail += "; NOT COUNTED: \(what)"
                }
            }
            say(finding)
            findings.append(finding)
        }
        return findings
    }

    /// The agent tells the orchestrator a moment later.
    private func isCounted(_ wanted: (host: String, port: Int, reason: String), of connector: String) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(20)
        let app = try await ControlClient.gateway(installation).get("/api/v1/connectors/\(URLPath.segment(connector))").cell("app")
        while true {
            let report = try await EgressReport(ofApp: app, installation)
            let isThere = report.rows.contains {
                $0["host"]?.stringValue == wanted.host && $0["port"]?.intValue == wanted.port && $0["reason"]?.stringValue == wanted.reason
            }
            if isThere { return true }
            guard ContinuousClock.now < deadline else { return false }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
