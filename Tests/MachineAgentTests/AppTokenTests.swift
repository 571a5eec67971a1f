import Door
import JSONText
import TestSupport
import Testing

/// Who does not choose the machine has a token for the app; it opens the doors that take such tokens, for calls alone.
@Suite(.enabled(if: AgentRig.isPossible)) struct AppTokenTests {
    @Test func itCallsAndDoesNothingElse() async throws {
        try await AgentRig.with(takesAppTokens: true) { rig in
            let call = AgentRig.message("echo", #"{"text":"a"}"#)
            let first = try rig.appToken()
            #expect(try await rig.request("POST", "/mcp", body: call, token: first).text == "a")
            #expect(try await rig.call("echo", #"{"text":"b"}"#).text == "b", "the machine's own is taken as before")
            let second = try rig.appToken()
            #expect(try await rig.request("GET", "/readyz", token: second).status == 200)
            let others = [
                ("GET", "/stats"), ("GET", "/sessions"), ("GET", "/calls"), ("DELETE", "/sessions/s"), ("POST", "/drain"), ("PUT", "/keys"),
                ("PUT", "/credentials"),
            ]
            for (method, path) in others {
                let answer = try await rig.request(method, path, body: method == "PUT" ? "x" : nil, token: try rig.appToken())
                #expect(answer.status == 403 && answer.json?["error"] == "app_token", "\(method) \(path)")
            }
            let token = try rig.appToken()
            #expect(try await rig.request("POST", "/mcp", body: call, token: token).status == 200)
            #expect(try await rig.request("POST", "/mcp", body: call, token: token).json?["reason"] == "replayed")
        }
    }

    @Test func aMachineThatWasNotToldToTakesNone() async throws {
        try await AgentRig.with { rig in
            let answer = try await rig.request("POST", "/mcp", body: AgentRig.message("echo", #"{"text":"a"}"#), token: try rig.appToken())
            #expect(answer.status == 401 && answer.json?["reason"] == "bad_signature")
        }
    }

    @Test func aPrincipalsMachineStaysHis() async throws {
        try await AgentRig.with(owner: "ann", takesAppTokens: true) { rig in
            let call = AgentRig.message("echo", #"{"text":"a"}"#)
            let token = try rig.appToken(principal: "bob", session: "b")
            #expect(try await rig.request("POST", "/mcp", body: call, token: token).status == 403)
        }
    }
}
