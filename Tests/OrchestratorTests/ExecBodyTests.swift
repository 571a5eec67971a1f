import Testing

@testable import Orchestrator

struct ExecBodyTests {
    private func read(_ body: String) throws -> ExecCommand { try ExecRequest(Array(body.utf8)).command }

    private func refusal(_ body: String) -> String? {
        do { _ = try read(body); return nil } catch { return (error as? MachineFailure).map { "\($0.status.rawValue) \($0.code) \($0.field ?? "")" } }
    }

    @Test("a list of words, or a line of them; input; seconds")
    func forms() throws {
        #expect(try read(#"{"command":["ls","-l","a b"]}"#) == ExecCommand(arguments: ["ls", "-l", "a b"], timeout: .seconds(60)))
        #expect(try read(#"{"cmd":"sh -c 'echo \"hi you\"' a\\ b \"c\\\"d\" '' ","command":[],"timeout":0,"container":""}"#).arguments == [
            "sh", "-c", "echo \"hi you\"", "a b", "c\"d", "",
        ])
        #expect(try read(#"{"command":["cat"],"cmd":"","stdin":"é","timeout":7,"machine":"x"}"#)
            == ExecCommand(arguments: ["cat"], input: [0xC3, 0xA9], timeout: .seconds(7)))
    }

    @Test(
        "what cannot be run is refused by its name",
        arguments: [
            (#"{}"#, "400 invalid command"), (#"{"command":[""]}"#, "400 invalid command"), (#"{"command":["a",1]}"#, "400 invalid command"),
            (#"{"command":"ls"}"#, "400 invalid command"), (#"{"command":["ls"],"cmd":"ls"}"#, "400 invalid cmd"),
            (#"{"cmd":"a 'b"}"#, "400 invalid cmd"), (#"{"cmd":"  "}"#, "400 invalid command"), (#"{"command":["a\u0000b"]}"#, "400 invalid command"),
            (#"{"command":["ls"],"timeout":601}"#, "422 invalid timeout"), (#"{"command":["ls"],"timeout":-1}"#, "422 invalid timeout"),
            (#"{"command":["ls"],"timeout":"5s"}"#, "422 invalid timeout"), (#"{"command":["ls"],"stdin":5}"#, "400 invalid stdin"),
            (#"{"command":["ls"],"container":"c"}"#, "422 unsupported_field container"), (#"{"command":["ls"],"user":"0"}"#, "400 unknown_field user"),
            (#"{"#, "400 invalid body"),
        ])
    func refused(body: String, expected: String) { #expect(refusal(body) == expected) }

    @Test("too much of anything is refused")
    func bounds() throws {
        let words = "[" + Array(repeating: "\"a\"", count: 257).joined(separator: ",") + "]"
        #expect(refusal("{\"command\":\(words)}") == "422 too_long command")
        #expect(refusal("{\"command\":[\"\(String(repeating: "a", count: 32 << 10))\"]}") == "422 too_long command")
        #expect(refusal("{\"command\":[\"a\"],\"stdin\":\"\(String(repeating: "a", count: (256 << 10) + 1))\"}") == "422 too_long stdin")
        #expect(try read("{\"command\":[\"a\"],\"stdin\":\"\(String(repeating: "a", count: 256 << 10))\"}").input.count == 256 << 10)
    }
}
