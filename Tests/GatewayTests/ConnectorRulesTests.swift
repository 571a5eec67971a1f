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
        Case(source: ImageSource(upload: "sha256:x", binary: "sha256:y"), field: "source"),
        Case(source: ImageSource(npm: "b", python: "3.11"), field: "source.python"), Case(source: ImageSource(pypi: "b", python: String(repeating: "3", count: 65)), field: "source.python"),
        Case(source: ImageSource(pypi: "a", npm: "b"), field: "source"), Case(source: ImageSource(npm: ""), field: "source.npm"),
        Case(source: ImageSource(constraints: ["mcp<2"], npm: "a"), field: "source.constraints"),
        Case(source: ImageSource(npm: "a", with: ["b"]), field: "source.with"), Case(source: ImageSource(upload: "sha256:x", command: ["x"], with: ["b"]), field: "source.with"),
        Case(source: ImageSource(constraints: ["mcp<2"], binary: "sha256:x"), field: "source.constraints"),
        Case(source: ImageSource(oci: String(repeating: "a", count: 513)), field: "source.oci"),
        Case(source: ImageSource(layout: "sha256:x", tag: String(repeating: "a", count: 257)), field: "source.tag"),
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

    @Test(arguments: [
        ("8000", MachineConfig.HTTP(port: 8000, path: "/mcp")), ("8000/", .init(port: 8000, path: "/")),
        ("9000/a/b?c", .init(port: 9000, path: "/a/b?c")),
        ("", nil),
    ]) func aServersPlaceIsReadAndKept(text: String, place: MachineConfig.HTTP?) throws {
        let request = ConnectorRequest(name: "web", source: ImageSource(pypi: "x"), http: text)
        var definition = try ConnectorRules.check(request)
        #expect(definition.http == place)
        definition.http = .init(port: 1_234)
        #expect(try ConnectorRules.check(ConnectorRequest(name: "web", memory_mb: 128), changing: definition).http?.port == 1_234, "kept")
        #expect(try ConnectorRules.check(ConnectorRequest(name: "web", http: text), changing: definition).http == place, "changed, or STDIO again")
    }

    @Test func aServersPortIsNoneOfTheAgents() throws {
        let request = ConnectorRequest(name: "web", source: ImageSource(pypi: "x"), http: "8443", egress: ["a.example:8443"])
        let failure = #expect(throws: ProvisioningFailure.self) { try ConnectorRules.check(request) }
        #expect(failure?.field == "http" && failure?.message.contains("8443") == true)
        #expect(throws: Never.self) { try ConnectorRules.check(ConnectorRequest(name: "web", source: ImageSource(pypi: "x"), http: "8443")) }
    }

    @Test(arguments: ["x", "/mcp", "8000mcp", "80000", "0", "80", "-1", "8000/a b", "8000/#x", "08000000/mcp"])
    func aPlaceThatNoServerCanHaveIsRefused(text: String) {
        let request = ConnectorRequest(name: "web", source: ImageSource(pypi: "x"), http: text)
        let failure = #expect(throws: ProvisioningFailure.self) { try ConnectorRules.check(request) }
        #expect(failure?.field == "http" && failure?.hint?.isEmpty == false && failure?.message.contains("--http") == true)
    }

    // MARK: Changes

    private static let old = ConnectorDefinition(
        source: ImageSource(
            constraints: ["mcp<2"], upload: "sha256:1", requirements: true, folder: "server", command: ["python3", "server.py"], arguments: ["--x"]),
        environment: ["A": "1", "Q": "2"], secrets: ["S"])

    private static func change(_ request: ConnectorRequest) throws -> ConnectorDefinition { try ConnectorRules.check(request, changing: old) }

    @Test func whatIsNotNeededAnyMoreIsTakenAway() throws {
        #expect(try Self.change(ConnectorRequest(name: "mine", drop_env: ["A"])).environment == ["Q": "2"])
        #expect(try Self.change(ConnectorRequest(name: "mine", env: ["B": "3"], drop_env: ["A"])).environment == ["B": "3"])
        #expect(try Self.change(ConnectorRequest(name: "mine", args: [])).source.arguments == [])
        let unbound = ConnectorRequest(name: "mine", source: ImageSource(constraints: []))
        #expect(try Self.change(unbound).source.constraints == [] && !unbound.keepsImage)
        let more = ConnectorRequest(name: "m", source: ImageSource(with: ["b"]))
        let packaged = ConnectorDefinition(source: ImageSource(pypi: "a", with: ["c"]))
        #expect(try ConnectorRules.check(more, changing: packaged).source == ImageSource(pypi: "a", with: ["b"]) && !more.keepsImage)
    }

    @Test func aListOfHostsIsReplacedAndTakenAway() throws {
        let first = try ConnectorRules.check(
            ConnectorRequest(name: "m", source: ImageSource(pypi: "a"), egress: ["a.example", "*.b.example:22"], egress_private: ["c.internal"]))
        #expect(first.egress == ["a.example", "*.b.example:22"] && first.egressPrivate == ["c.internal"])
        #expect(try ConnectorRules.check(ConnectorRequest(name: "m", memory_mb: 512), changing: first).egress == first.egress)
        let second = try ConnectorRules.check(ConnectorRequest(name: "m", egress: ["d.example"]), changing: first)
        #expect(second.egress == ["d.example"] && second.egressPrivate == ["c.internal"])
        let third = try ConnectorRules.check(ConnectorRequest(name: "m", egress: [], egress_private: []), changing: second)
        #expect(third.egress == nil && third.egressPrivate == nil)
        #expect(second.hostsLost(since: first) == "a.example, *.b.example:22" && first.hostsLost(since: first) == nil)
        let wider = try ConnectorRules.check(
            ConnectorRequest(name: "m", egress: ["*.b.example:22"], egress_private: ["a.example", "c.internal:443"]), changing: first)
        #expect(wider.hostsLost(since: first) == nil, "the same hosts, otherwise written")
        for (request, field, words) in [
            (ConnectorRequest(name: "m", egress: ["10.0.0.1"]), "egress", "--egress: '10.0.0.1' is an address"),
            (ConnectorRequest(name: "m", egress_private: ["*.a.example"]), "egress_private", "--egress-private: '*.a.example:443' is not one host"),
        ] {
            let failure = #expect(throws: ProvisioningFailure.self) { try ConnectorRules.check(request, changing: first) }
            #expect(failure?.field == field && failure?.message == words && failure?.hint != nil)
        }
    }

    /// A value that moves from the definition, which is kept in clear, into a secret.
    @Test func aSecretTakesTheVariablesPlace() throws {
        let new = try Self.change(ConnectorRequest(name: "mine", secrets: ["Q": "s"]))
        #expect(new.environment == ["A": "1"] && new.secrets == ["Q", "S"])
    }

    @Test func requirementsAreNotDroppedInSilence() throws {
        let folder = ImageSource(upload: "sha256:2", requirements: false, folder: "server")
        let failure = #expect(throws: ProvisioningFailure.self) { try Self.change(ConnectorRequest(name: "mine", source: folder)) }
        #expect(failure?.field == "source.requirements" && failure?.hint?.contains("--requirements FILE") == true)
        #expect(failure?.hint?.contains("--reset") == true)
        var whole = folder
        whole.command = ["python3", "server.py"]
        let anew = try Self.change(ConnectorRequest(name: "mine", source: whole, reset: true))
        #expect(anew.source.requirements == false && anew.environment.isEmpty && anew.secrets == ["S"])
        whole.requirements = true
        #expect(try Self.change(ConnectorRequest(name: "mine", source: whole)).source.upload == "sha256:2")
    }

    @Test(arguments: [
        (ConnectorRequest(name: "mine", drop_env: ["NOPE"]), "drop_env"),
        (ConnectorRequest(name: "mine", env: ["A": "2"], drop_env: ["A"]), "drop_env"),
        (ConnectorRequest(name: "mine", env: ["S": "2"]), "env.S"), (ConnectorRequest(name: "mine", reset: true), "source"),
    ])
    func changesThatAreRefused(_ request: ConnectorRequest, _ field: String) {
        let failure = #expect(throws: ProvisioningFailure.self) { try Self.change(request) }
        #expect(failure?.field == field && failure?.hint?.isEmpty == false)
    }

    @Test func aNewConnectorHasNothingToDrop() {
        let request = ConnectorRequest(name: "mine", source: ImageSource(pypi: "a"), drop_env: ["A"])
        #expect(throws: ProvisioningFailure.self) { try ConnectorRules.check(request) }
    }

    @Test func whatAnOperatorTypesPasses() throws {
        try ConnectorRules.check(
            ConnectorRequest(
                name: "my-server2", source: ImageSource(upload: "sha256:x"), args: nil, command: ["python3", "server.py"], env: ["LOG": "1"],
                secrets: ["API_KEY": "s"], memory_mb: 512, pids: 64))
    }

    @Test func processorsAreTakenOverKeptAndBounded() throws {
        let source = ImageSource(pypi: "mcp-server-time")
        let new = try ConnectorRules.check(ConnectorRequest(name: "a", source: source, hosting: .init(cpus: 0.25)))
        #expect(new.hosting?.cpus == 0.25)
        #expect(try ConnectorRules.check(ConnectorRequest(name: "a", pids: 32), changing: new).hosting?.cpus == 0.25)
        #expect(try ConnectorRules.check(ConnectorRequest(name: "a", hosting: .init(cpus: 2)), changing: new).hosting?.cpus == 2)
        #expect(try ConnectorRules.check(ConnectorRequest(name: "a", source: source, reset: true), changing: new).hosting == nil)
        for cpus in [0, 0.09, -1, 257] {
            #expect { try ConnectorRules.check(ConnectorRequest(name: "a", source: source, hosting: .init(cpus: cpus))) } throws: { error in
                (error as? ProvisioningFailure)?.field == "hosting.cpus"
            }
        }
        var config = MachineConfig(image: "i", guest: .init(cpu_kind: "shared", cpus: 1))
        ConnectorHosting(cpus: 1.5).add(to: &config)
        #expect(config.berth?.cpus == 1.5 && config.guest?.cpus == 2)
    }
}
