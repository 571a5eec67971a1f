import MachineAPI
import Testing

@testable import Gateway

@Suite struct ConnectorRulesTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name = "time"
        var source = ImageSource(pypi: "mcp-server-time")
        var env: [String: String] = [:]
        var secrets: [String: String] = [:]
        var command: [String]?
        var memory: Int?
        var field: String
        var testDescription: String { field }
    }

    @Test(arguments: [
        Case(name: "", field: "name"), Case(name: "Time", field: "name"), Case(name: "1time", field: "name"), Case(name: "../x", field: "name"),
        Case(name: String(repeating: "a", count: 33), field: "name"), Case(source: ImageSource(), field: "source"),
        Case(source: ImageSource(pypi: "a", upload: "sha256:x"), field: "source"), Case(source: ImageSource(upload: "sha256:x"), field: "command"),
        Case(env: ["1A": "x"], field: "env.1A"), Case(env: ["A=B": "x"], field: "env.A=B"), Case(secrets: ["K": "a\0b"], field: "secrets.K"),
        Case(env: ["K": "x"], secrets: ["K": "y"], field: "secrets.K"),
        Case(secrets: ["K": String(repeating: "x", count: 65_537)], field: "secrets.K"), Case(memory: 1, field: "memory_mb"),
    ])
    func refusalsNameTheirField(_ input: Case) throws {
        let request = ConnectorRequest(
            name: input.name, source: input.source, args: nil, command: input.command, env: input.env, secrets: input.secrets,
            memory_mb: input.memory, pids: nil)
        let failure = #expect(throws: ProvisioningFailure.self) { try ConnectorRules.check(request) }
        #expect(failure?.field == input.field)
        for value in input.secrets.values { #expect(failure?.message.contains(value) == false, "a secret's value is in no error") }
    }

    @Test func whatAnOperatorTypesPasses() throws {
        try ConnectorRules.check(
            ConnectorRequest(
                name: "my-server2", source: ImageSource(upload: "sha256:x"), args: nil, command: ["python3", "server.py"], env: ["LOG": "1"],
                secrets: ["API_KEY": "s"], memory_mb: 512, pids: 64))
    }
}
