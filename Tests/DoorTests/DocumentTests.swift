import Door
import JSONText
import Sealing
import Testing

@Suite("boot document")
struct BootDocumentTests {
    static func document() throws -> BootDocument {
        let door = try DoorFixture()
        return BootDocument(
            org: DoorFixture.org, app: "weather", keys: door.keys, machine: DoorFixture.machine, boot: DoorFixture.boot,
            command: ["/usr/bin/python3", "-c", "print('é\\n')"], directory: "/srv/server", environment: ["PYTHONPATH": "/opt/mcp"],
            egress: ["pypi.org:443"])
    }

    @Test func roundTrips() throws {
        let document = try Self.document()
        let read = try BootDocument(decoding: try document.encode())
        #expect(read == document)
        #expect(read.keys.sign == document.signKey && read.keys.kid == document.kid)
    }

    @Test(arguments: [
        "org", "app", "machine", "boot", "kid", "sign_key", "seal_key", "generation", "command", "directory", "environment", "transport",
        "child_limits", "mode", "start_timeout_seconds", "egress", "log_level",
    ])
    func nothingHasADefault(member: String) throws {
        var object = try #require(try JSONValue(parsing: try Self.document().encode()).objectValue)
        object[member] = nil
        #expect(throws: DoorError.malformed(field: member)) { try BootDocument(decoding: JSONValue.object(object).serialized()) }
        object[member] = .object([:])
        #expect(throws: DoorError.self) {
            _ = try BootDocument(decoding: JSONValue.object(member == "environment" ? [:] : object).serialized())
        }
    }

    static let bad: [(String, JSONValue)] = [
        ("sign_key", "AAAA"), ("seal_key", ""), ("generation", 0), ("command", []), ("command", [""]), ("command", [7]), ("directory", "srv"),
        ("environment", ["A=B": "c"]), ("environment", ["A": 7]), ("transport", "smtp"), ("transport", "http"),
        ("mode", ""), ("kid", "a\"b"), ("start_timeout_seconds", 0),
    ]

    @Test(arguments: bad)
    func badMembersAreNamedWithoutTheirValue(member: String, value: JSONValue) throws {
        var object = try #require(try JSONValue(parsing: try Self.document().encode()).objectValue)
        object[member] = value
        // A transport that is known is missed what belongs to it.
        let field = value == "http" ? "http" : member
        #expect(throws: DoorError.malformed(field: field)) { try BootDocument(decoding: JSONValue.object(object).serialized()) }
    }

    @Test func theAppsKeysAreThereOrNotAtAll() throws {
        var document = try Self.document()
        let keys = try DoorKeys(root: try DoorFixture().root, app: "weather")
        document.appKeys = keys
        #expect(try BootDocument(decoding: try document.encode()).appKeys == keys)
        var object = try #require(try JSONValue(parsing: try document.encode()).objectValue)
        for (member, value) in [("sign_key", "AAAA"), ("kid", "a\"b"), ("generation", 0), ("more", true)] as [(String, JSONValue)] {
            var changed = try #require(object["app_keys"]?.objectValue)
            changed[member] = value
            object["app_keys"] = .object(changed)
            #expect(throws: DoorError.self, "\(member)") { try BootDocument(decoding: JSONValue.object(object).serialized()) }
            object["app_keys"] = try JSONValue(parsing: try document.encode())["app_keys"]
        }
    }

    @Test func aServerThatSpeaksHTTPHasAPlace() throws {
        var document = try Self.document()
        document.transport = .http
        document.http = .init(port: 8000, path: "/mcp?x=1")
        #expect(try BootDocument(decoding: try document.encode()).http == document.http)
        let bad = [(0, "/mcp", "port"), (65_536, "/mcp", "port"), (80, "mcp", "http.path"), (80, "/a b", "http.path"), (80, "", "path")]
        for (port, path, field) in bad {
            document.http = .init(port: port, path: path)
            #expect(throws: DoorError.malformed(field: field)) { try document.encode() }
        }
        document.http = nil
        #expect(throws: DoorError.malformed(field: "http")) { try document.encode() }
        document = try Self.document()
        document.http = .init(port: 8000, path: "/mcp")
        #expect(throws: DoorError.malformed(field: "http"), "STDIO has none") { try document.encode() }
    }

    @Test func unknownMembersAndSizesAreRefused() throws {
        var object = try #require(try JSONValue(parsing: try Self.document().encode()).objectValue)
        object["sign_key_2"] = "x"
        #expect(throws: DoorError.malformed(field: "unknown member")) { try BootDocument(decoding: JSONValue.object(object).serialized()) }
        var document = try Self.document()
        document.environment["BIG"] = String(repeating: "x", count: BootDocument.maximumSize)
        #expect(throws: DoorError.tooLarge(field: "document", limit: BootDocument.maximumSize)) { try document.encode() }
        document.environment = [:]
        document.command = []
        #expect(throws: DoorError.malformed(field: "command")) { try document.encode() }
    }

    @Test func keysDoNotPrint() throws {
        let document = try Self.document()
        var dumped = "\(document) \(String(reflecting: document))"
        dump(document, to: &dumped)
        #expect(!dumped.contains(Base64URL.encode(document.signKey.copy)))
    }
}

@Suite("sealed credentials")
struct SealedCredentialsTests {
    let door: DoorFixture
    let key: AEADKey
    let set: CredentialSet

    init() throws {
        door = try DoorFixture()
        key = try AEADKey(door.keys.seal)
        set = try CredentialSet(
            environment: ["API_KEY": "hunter2"], headers: ["Authorization": "Bearer x"], files: ["cert.pem": "-----BEGIN"],
            fingerprintKey: try HMACKey(Secret([1, 2, 3])))
    }

    private func claims(principal: String = "alice", session: String = "s") throws -> HostedToken.Claims {
        try door.verifier.verify(headerValues: [try door.minter.mint(principal: principal, session: session).token]).get()
    }

    @Test func openInTheirOwnRequestOnly() throws {
        let own = try claims()
        let body = try SealedCredentials.seal(set, with: key, id: own.id, session: "s", principal: "alice")
        #expect(try SealedCredentials.open(body, with: key, claims: own) == set)
        for other in [try claims(), try claims(principal: "bob"), try claims(session: "t")] {
            #expect(throws: DoorError.sealing(.authentication)) { try SealedCredentials.open(body, with: key, claims: other) }
        }
        var moved = own
        moved.session = "sa"
        moved.principal = "lice"
        #expect(throws: DoorError.sealing(.authentication)) { try SealedCredentials.open(body, with: key, claims: moved) }
        let sibling = try AEADKey(try DoorKeys(root: door.root, machine: "ffffffffffffff", boot: DoorFixture.boot).seal)
        #expect(throws: DoorError.sealing(.authentication)) { try SealedCredentials.open(body, with: sibling, claims: own) }
        #expect(throws: DoorError.sealing(.malformed)) { try SealedCredentials.open([1, 2], with: key, claims: own) }
    }

    static let bad: [(CredentialSet, DoorError)] = [
        (CredentialSet(environment: ["A=B": "x"], fingerprint: "f"), .malformed(field: "env")),
        (CredentialSet(environment: ["1A": "x"], fingerprint: "f"), .malformed(field: "env")),
        (CredentialSet(environment: ["A": "x\0"], fingerprint: "f"), .malformed(field: "env.A")),
        (CredentialSet(headers: ["X": "a\r\nb"], fingerprint: "f"), .malformed(field: "headers.X")),
        (CredentialSet(headers: ["X Y": "a"], fingerprint: "f"), .malformed(field: "headers")),
        (CredentialSet(files: ["../x": "a"], fingerprint: "f"), .malformed(field: "files")),
        (CredentialSet(files: ["..": "a"], fingerprint: "f"), .malformed(field: "files")),
        (CredentialSet(fingerprint: "a b"), .malformed(field: "fingerprint")),
        (
            CredentialSet(environment: ["A": String(repeating: "x", count: 65_537)], fingerprint: "f"),
            .tooLarge(field: "env.A", limit: CredentialSet.maximumValueSize)
        ),
    ]

    @Test(arguments: bad)
    func badSetsAreRefusedWithoutTheirValues(set: CredentialSet, error: DoorError) throws {
        let id = HostedToken.ID(sender: 1, counter: 1)
        #expect(throws: error) { try SealedCredentials.seal(set, with: key, id: id, session: "s", principal: "a") }
    }

    @Test func theWholeIsBounded() throws {
        var environment: [String: String] = [:]
        for index in 0..<5 { environment["V\(index)"] = String(repeating: "x", count: 60_000) }
        let id = HostedToken.ID(sender: 1, counter: 1)
        #expect(throws: DoorError.tooLarge(field: "credentials", limit: CredentialSet.maximumSize)) {
            try SealedCredentials.seal(CredentialSet(environment: environment, fingerprint: "f"), with: key, id: id, session: "s", principal: "a")
        }
    }

    @Test func theFingerprintNamesTheContent() throws {
        let mac = try HMACKey(Secret([1, 2, 3]))
        let same = try CredentialSet(environment: set.environment, headers: set.headers, files: set.files, fingerprintKey: mac)
        #expect(same.fingerprint == set.fingerprint && set.fingerprint.utf8.count == 22)
        for other in [
            try CredentialSet(environment: ["API_KEY": "hunter3"], headers: set.headers, files: set.files, fingerprintKey: mac),
            try CredentialSet(environment: [:], headers: ["API_KEY": "hunter2"], fingerprintKey: mac),
            try CredentialSet(environment: ["API_KEY": "hunter2"], fingerprintKey: mac),
            try CredentialSet(
                environment: set.environment, headers: set.headers, files: set.files, fingerprintKey: try HMACKey(Secret([1, 2, 4]))),
        ] {
            #expect(other.fingerprint != set.fingerprint)
        }
        #expect(try CredentialSet(environment: [:], fingerprintKey: mac).fingerprint == "")
    }

    @Test func valuesDoNotPrint() {
        var dumped = "\(set) \(String(reflecting: set))"
        dump(set, to: &dumped)
        #expect(!dumped.contains("hunter2"))
        #expect(Set(set.secretValues) == ["hunter2", "Bearer x", "-----BEGIN"])
    }

    @Test func theNextKeysTravelUnderThePresentOnes() throws {
        let next = try DoorKeys(root: door.root, machine: DoorFixture.machine, boot: DoorFixture.boot, generation: 2)
        let request = try claims(session: "")
        let body = try SealedKeys.seal(next, with: key, id: request.id, principal: "alice")
        let read = try SealedKeys.open(body, with: key, claims: request, scope: door.keys.scope)
        #expect(read.kid == next.kid && read.sign == next.sign && read.seal == next.seal)
        #expect(throws: DoorError.sealing(.authentication)) {
            try SealedKeys.open(body, with: key, claims: try claims(session: ""), scope: door.keys.scope)
        }
        #expect(throws: DoorError.sealing(.authentication)) { try SealedCredentials.open(body, with: key, claims: request) }
    }
}

@Suite("door routes")
struct DoorRouteTests {
    @Test func everyRouteIsFoundByItsOwnMethodOnly() {
        for route in [
            .mcp, .credentials, .keys, .sessions, .endSession("abc-1"), .drain, .health, .ready, .stats, .calls,
        ] as [DoorRoute] {
            #expect(DoorRoute.find(method: route.method, path: route.path) == .success(route))
            #expect(DoorRoute.find(method: "PATCH", path: route.path) == .failure(.methodNotAllowed))
        }
    }

    @Test(arguments: ["", "/", "/mcp/", "/MCP", "//mcp", "/sessions/", "/sessions/a/b", "/sessions/a%2fb", "/sessions/a b", "/sessions/a?b"])
    func nothingElseIs(path: String) {
        #expect(DoorRoute.find(method: "DELETE", path: path) == .failure(.notFound))
    }
}
