import Glibc
import JSONText
import RemoteClient
import StdioBridge
import Testing
import TestSupport

@testable import AuthorCommands

/// What is given for a server of this host, and what a client is told of one elsewhere.
@Suite struct LocalTests {
    private func message(_ body: () throws -> Void) -> String? {
        do { try body() } catch { return (error as? Failure)?.line ?? "\(error)" }
        return nil
    }

    @Test func variablesArePairs() throws {
        var warnings: [String] = []
        let read = try Variables.plain(["A=1", "B=x=y", "EMPTY=", "API_KEY=k"], remedy: "% is not hidden: %") { warnings.append($0) }
        #expect(read == ["A": "1", "B": "x=y", "EMPTY": "", "API_KEY": "k"])
        #expect(warnings == ["API_KEY sounds like a secret and API_KEY is not hidden: API_KEY"])
    }

    @Test(arguments: [
        (["A"], "--env 'A' is not of the form NAME=VALUE — "), (["=1"], "--env '=1' is not of the form NAME=VALUE — "),
        (["A=1", "A=2"], "--env A is given twice — "),
    ])
    func whatIsNoVariableIsRefused(_ pairs: [String], _ says: String) {
        #expect(message { _ = try Variables.plain(pairs, warn: { _ in }) }?.hasPrefix(says) == true)
    }

    @Test(arguments: [("api_key", true), ("GITHUB_PAT", true), ("SENTRY_DSN", true), ("LOG_LEVEL", false), ("PATH", false)])
    func aNameSoundsLikeASecret(_ name: String, _ isOne: Bool) { #expect(Variables.soundsSecret(name) == isOne) }

    @Test func aServersEnvironmentIsPathAndWhatWasGiven() {
        #expect(LocalProgram(["x"], ["A": "1"]).environment == ["A=1", "PATH=/usr/local/bin:/usr/bin:/bin"])
        #expect(LocalProgram(["x"], ["PATH": "/opt"]).environment == ["PATH=/opt"])
    }

    @Test(arguments: [
        (["nosuch"], ["PATH": "/usr/bin"], "no program nosuch in /usr/bin — give its whole path"),
        (["/nosuch/x"], [:], "/nosuch/x cannot be started: No such file"), (["/etc"], [:], "/etc is no program"),
        (["/etc/passwd"], [:], "/etc/passwd is not executable — chmod +x /etc/passwd"),
    ] as [([String], [String: String], String)])
    func whatCannotBeStartedIsTold(_ command: [String], _ variables: [String: String], _ says: String) {
        let told = message { _ = try LocalProgram.typed(command, variables).found() }
        #expect(told?.hasPrefix(says) == true, "\(told ?? "")")
    }

    @Test func wordsInQuotesAreOneWord() {
        let hint = " — that is one word: leave the quotes out, -- "
        for word in ["no-such-program x", "./nosuch -v"] {
            #expect(message { _ = try LocalProgram.typed([word], [:]).found() }?.hasSuffix(hint + word) == true)
            let entry = message { _ = try LocalProgram([word], [:]).found() }
            #expect(entry?.hasSuffix(#" — that is one word: the first one is "command", the others are "args""#) == true, "\(entry ?? "")")
        }
        #expect(message { _ = try LocalProgram.typed(["no such", "x"], ["PATH": "/bin"]).found() }?.contains(" — give its whole path, ") == true)
    }

    /// It is the interpreter that is not there; the file is.
    @Test(arguments: [
        ("#!/gone/bin/python -u\nx", ": its first line (#!) names /gone/bin/python, which is not there — install that, "),
        ("#! /gone/python", ": its first line (#!) names /gone/python, which "), ("#!/bin/sh\r\nx", ": its lines end in CR LF, "),
        ("#!/bin/sh\nx", nil), ("#!bin/none\n", nil), ("#", nil), ("\u{7F}ELF", nil),
    ] as [(String, String?)])
    func aScriptNeedsItsInterpreter(_ text: String, _ says: String?) async throws {
        try await withFolder(["script": text]) { folder in
            chmod(folder + "/script", 0o700)
            for program in [LocalProgram([folder + "/script"], [:]), LocalProgram(["script"], ["PATH": folder])] {
                let told = message { _ = try program.found() }
                #expect(says.map { told?.hasPrefix("\(folder)/script cannot be started" + $0) == true } ?? (told == nil), "\(told ?? "nothing")")
            }
        }
    }

    @Test func aProgramIsFound() throws {
        #expect(try LocalProgram(["sh", "-c"], [:]).found() == "/usr/bin/sh" || LocalProgram(["sh", "-c"], [:]).found() == "/bin/sh")
        #expect(LocalProgram(["/bin/sh", "-c"], [:]).fromAnywhere == ["/bin/sh", "-c"])
        #expect(LocalProgram(["sh"], [:]).fromAnywhere == ["sh"])
        #expect(LocalProgram(["bin/sh", "x"], [:]).fromAnywhere[0].hasPrefix("/"))
        let told = message { _ = try LocalProgram.typed(["no-such-program-anywhere"], [:]).found() }
        #expect(told?.hasPrefix("no program no-such-program-anywhere in your PATH, nor in /usr/local/bin:") == true, "\(told ?? "")")
    }

    @Test(arguments: [
        (Install.Client.claudeCode, false, "/w/.mcp.json"), (.claudeCode, true, "/h/.claude.json"), (.cursor, false, "/w/.cursor/mcp.json"),
        (.cursor, true, "/h/.cursor/mcp.json"), (.vscode, false, "/w/.vscode/mcp.json"), (.vscode, true, nil),
    ] as [(Install.Client, Bool, String?)])
    func aClientHasItsFile(_ client: Install.Client, _ user: Bool, _ file: String?) {
        #expect((try? client.file(user: user, home: "/h", here: "/w")) == file)
    }

    @Test func aClientIsToldWhatToRun() {
        #expect(Install.Client.claudeCode.entry("/b", ["connect", "u"]).text == #"{"type":"stdio","command":"/b","args":["connect","u"]}"#)
        #expect(Install.Client.cursor.entry("/b", []).text == #"{"command":"/b","args":[]}"#)
        #expect(Install.Client.vscode.section == "servers" && Install.Client.cursor.section == "mcpServers")
    }

    @Test(arguments: [("", 0), ("=", 0), ("QQ==", 1), ("QUI=", 2), ("QUJD", 3)]) func bytesAreCounted(_ base64: String, _ count: Int) {
        #expect(ContentText.Binary(type: "x", base64: base64).count == count)
    }

    @Test(arguments: [
        ("http://h:1", "http://h:1/mcp"), ("http://h:1/", "http://h:1/mcp"), ("https://h?x=1", "https://h/mcp?x=1"), ("http://h/mpc", "http://h/mcp"),
        ("http://h/time/mcpp", "http://h/time/mcp"), ("http://h/MCP", "http://h/mcp"), ("http://h/mcp/", "http://h/mcp"),
        ("http://h/v/office", "http://h/v/office/mcp"), ("http://h/v/office/mcp/", "http://h/v/office/mcp"), ("http://h/mcp", nil),
        ("http://h/mcp?x", nil), ("http://h/api/tools", nil), ("http://h/sse", nil),
    ] as [(String, String?)])
    func aURLWithoutMCPIsTakenForOneWithIt(_ url: String, _ meant: String?) throws {
        #expect(try #require(RemoteAddress(url)).likelyMeant == meant)
    }

    /// What a bridge says of itself is worth more than a guess.
    @Test(arguments: [
        ("the server answered HTTP 404: MCP is served at /mcp", "did you mean http://h/mcp?"),
        ("the server answered HTTP 404: MCP is served at /a/mcp, /b/mcp", "for example http://h/a/mcp"),
        ("the server answered HTTP 404", "did you mean http://h/mcp, or http://h/sse of an older one?"),
        ("the server answered HTTP 404: MCP is served at ", "did you mean http://h/mcp, or http://h/sse of an older one?"),
    ])
    func aBridgeSaysWhereItServes(_ reason: String, _ remedy: String) throws {
        #expect(try #require(RemoteAddress("http://h/")).remedy(reason) == remedy)
    }
}
