import Door
import Glibc
import JSONText
import Sealing
import Testing

@testable import MachineAgent

struct SessionOwnersTests {
    @Test func theFirstPrincipalKeepsItsSession() {
        var owners = SessionOwners()
        let answers = [("s", "ann"), ("s", "bob"), ("s", "ann"), ("t", "bob")].map { owners.admit($0.0, of: $0.1) { [] } }
        #expect(answers == [true, false, true, true])
        owners.forget("s")
        let again = owners.admit("s", of: "bob") { [] }
        #expect(again)
    }

    @Test func aFullTableForgetsOnlySessionsWithoutAChild() {
        var owners = SessionOwners(capacity: 8)
        for number in 0..<1000 {
            let isNew = owners.admit("\(number)", of: "ann") { ["3", "5"] }
            #expect(isNew && owners.count <= 8)
        }
        // Whoever has a child keeps it.
        for session in ["3", "5"] {
            let stolen = owners.admit(session, of: "bob") { ["3", "5"] }
            #expect(!stolen)
        }
        let free = owners.admit("4", of: "bob") { ["3", "5"] }
        #expect(free)
    }
}

struct CallLogTests {
    /// Verified claims, one for each session `s-0`, `s-1`, ….
    private static func claims(_ count: Int) throws -> [HostedToken.Claims] {
        let root = try AppRoot(secret: Secret(try randomBytes(32)))
        let keys = try DoorKeys(root: root, machine: "0123456789abcd", boot: "01JZZZZZZZZZZZZZZZZZZZZZZZ")
        let minter = try TokenSender().minter(for: keys, org: "org", issuer: "gateway")
        let verifier = try TokenVerifier(keys: keys, org: "org")
        return try (0..<count).map { number in
            try verifier.verify(headerValues: [try minter.mint(principal: "ann", session: "s-\(number)").token]).get()
        }
    }

    private static func list(_ log: CallLog) -> [JSONValue] { log.json["calls"]?.arrayValue ?? [] }

    @Test func saysWhoseCallItWasAndHowFarItCame() throws {
        var log = CallLog()
        let before = Int(WallClock.milliseconds())
        let states: [(JSONValue, (inout CallLog, Int) -> Void)] = [
            ("waiting", { _, _ in }), ("delivered", { $0.deliver($1) }),
            ("answered", { log, call in
                log.deliver(call)
                log.end(call, .answered)
            }),
            ("not_delivered", { $0.end($1, .notDelivered) }), ("failed", { $0.end($1, .failed) }), ("cancelled", { $0.end($1, .cancelled) }),
        ]
        let claims = try Self.claims(states.count)
        for (number, state) in states.enumerated() {
            let call = log.add(claims: claims[number], method: "tools/call", tool: number == 0 ? nil : "echo")
            state.1(&log, call)
        }
        let calls = Self.list(log)
        #expect(calls.map { $0["state"] } == states.map(\.0))
        #expect(calls[1]["session"] == "s-1" && calls[1]["principal"] == "ann" && calls[1]["method"] == "tools/call")
        #expect(calls[0]["tool"] == .null && calls[1]["tool"] == "echo")
        #expect(calls[1]["id"] == .string("\(claims[1].id)"))
        #expect((before...before + 60_000).contains(calls[1]["at"]?.intValue ?? 0))
    }

    /// What the gateway takes is bounded, and names are the clients' own.
    @Test func isBoundedInBytes() throws {
        var log = CallLog()
        let names = ["x" + String(repeating: "é", count: 10_000), String(repeating: "\u{1}", count: 10_000)]
        for (number, claims) in try Self.claims(1024).enumerated() { _ = log.add(claims: claims, method: names[number % 2], tool: names[number % 2]) }
        #expect(log.json.serialized().count < 1 << 20)
        let calls = Self.list(log)
        #expect(calls.last?["session"] == "s-1023", "the newest are told")
        #expect(calls.first { $0["tool"] != calls.last?["tool"] }?["tool"] == .string("x" + String(repeating: "é", count: 127)))
    }

    @Test func keepsTheLast1024InOrder() throws {
        var log = CallLog()
        let handles = try Self.claims(3000).map { log.add(claims: $0, method: "tools/call", tool: nil) }
        // The end of a call that has left is nobody else's.
        for number in [0, 1975, 1976, 2999] { log.end(handles[number], .answered) }
        let calls = Self.list(log)
        #expect(calls.count == 1024)
        #expect(calls.first?["session"] == "s-1976" && calls.last?["session"] == "s-2999")
        #expect(calls.enumerated().filter { $0.element["state"] == "answered" }.map(\.offset) == [0, 1023])
    }
}

struct ChildMemoryTests {
    @Test func oneMoreIsAsLargeAsTheLargest() {
        let memory = ChildMemory(bytes: [1000: 10, 1001: 30])
        #expect(memory.fits(40, with: 0) && !memory.fits(39, with: 0))
        #expect(memory.fits(70, with: 1) && !memory.fits(69, with: 1))
        #expect(ChildMemory(bytes: [:]).fits(0, with: 1))
    }

    @Test func isReadByUid() {
        let own = getuid()
        #expect(ChildMemory(of: own..<own).bytes.isEmpty)
        #expect((ChildMemory(of: own..<own + 1).bytes[own] ?? 0) > 1 << 20)
    }
}
