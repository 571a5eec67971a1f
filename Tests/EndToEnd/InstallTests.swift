import Foundation
import TestSupport
import Testing

/// `berth install`: the client's own file, one entry changed.
@Suite struct InstallTests {
    private static let url = "http://127.0.0.1:8787/v/office/mcp"

    private static let files = ["token": "secret-token\n"]

    private func install(_ folder: String, _ arguments: String...) async throws -> CommandResult {
        try await Command.run(
            [Repository.binary("berth"), "install"] + arguments, environment: ["HOME": folder + "/home"], directory: folder, seconds: 120)
    }

    @Test(arguments: [
        ("claude-code", false, ".mcp.json", "mcpServers"), ("claude-code", true, "home/.claude.json", "mcpServers"),
        ("cursor", false, ".cursor/mcp.json", "mcpServers"), ("cursor", true, "home/.cursor/mcp.json", "mcpServers"),
        ("vscode", false, ".vscode/mcp.json", "servers"),
    ])
    func everyClientHasItsFile(_ client: String, _ user: Bool, _ file: String, _ section: String) async throws {
        try await withFolder(Self.files) { folder in
            try FileManager.default.createDirectory(atPath: folder + "/home", withIntermediateDirectories: true)
            let more = user ? ["--user"] : []
            let result = try await Command.run(
                [Repository.binary("berth"), "install", client, "office", Self.url, "--token-file", "token", "--yes"] + more,
                environment: ["HOME": folder + "/home"], directory: folder)
            #expect(result.status == 0 && result.output.contains("+ "), "\(result)")
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(file)"))
            let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: [String: [String: Any]]])
            let entry = try #require(json[section]?["office"])
            #expect(entry["args"] as? [String] == ["connect", Self.url, "--token-file", folder + "/token"], "\(entry)")
            #expect((entry["command"] as? String)?.hasSuffix("/berth") == true)
            #expect(!String(decoding: data, as: UTF8.self).contains("secret-token"))
        }
    }

    @Test func theRestOfTheFileStaysAndIsKept() async throws {
        try await withFolder(Self.files) { folder in
            let before = "{\n\t\"mcpServers\": {\n\t\t\"a\": {\"x\": 1.0}\n\t},\n\t\"other\":\"\\u00e9\"\n}\n"
            let file = folder + "/.mcp.json"
            try before.write(toFile: file, atomically: true, encoding: .utf8)
            chmod(file, 0o600)
            let refused = try await install(folder, "claude-code", "office", Self.url)
            #expect(refused.status == 64 && refused.errors.contains("--yes") && refused.output.contains("+ \t\t\"office\": {"), "\(refused)")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == before)

            let done = try await install(folder, "claude-code", "office", Self.url, "--yes", "--json")
            let backup = try #require(done.lastJSON?["backup"] as? String, "\(done)")
            #expect(try String(contentsOfFile: backup, encoding: .utf8) == before)
            let after = try String(contentsOfFile: file, encoding: .utf8)
            #expect(after.hasPrefix("{\n\t\"mcpServers\": {\n\t\t\"a\": {\"x\": 1.0},\n\t\t\"office\": {\n\t\t\t\"type\": \"stdio\""), "\(after)")
            #expect(after.hasSuffix("\n\t},\n\t\"other\":\"\\u00e9\"\n}\n"), "\(after)")
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try await install(folder, "claude-code", "office", Self.url, "--yes", "--json").lastJSON?["changed"] as? Bool == false)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == [".mcp.json", ".mcp.json.before-berth", "token"])
        }
    }

    /// Whoever is told that it was written finds it there.
    @Test func severalAtATimeLoseNothing() async throws {
        try await withFolder(Self.files) { folder in
            let file = folder + "/.mcp.json"
            try #"{"mcpServers":{"keep":{"command":"x"}}}"#.write(toFile: file, atomically: true, encoding: .utf8)
            let done = try await withThrowingTaskGroup(of: (String, CommandResult).self) { group in
                for number in 0..<8 {
                    group.addTask { ("n\(number)", try await install(folder, "claude-code", "n\(number)", Self.url, "--yes")) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let json = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file))) as? [String: [String: Any]])
            let written = done.filter { $0.1.status == 0 }.map(\.0)
            #expect(!written.isEmpty && Set(json["mcpServers"]?.keys.map { $0 } ?? []) == Set(written + ["keep"]), "\(done)")
            for (_, result) in done where result.status != 0 { #expect(result.errors.contains("has just changed — run the command again"), "\(result)") }
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(!names.contains { $0.contains("berth-new") } && names.count == written.count + 2, "\(names)")
        }
    }

    @Test func aLinkToNothingStaysOne() async throws {
        try await withFolder(Self.files) { folder in
            try FileManager.default.createSymbolicLink(atPath: folder + "/.mcp.json", withDestinationPath: folder + "/gone")
            let refused = try await install(folder, "claude-code", "office", Self.url, "--yes")
            #expect(refused.status == 1 && refused.errors.contains(".mcp.json is a link to nothing"), "\(refused)")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/.mcp.json") == folder + "/gone")
        }
    }

    /// What VS Code reads, and people keep there.
    @Test func commentsAndTrailingCommasStay() async throws {
        let before = "{\n\t// MCP servers\n\t\"servers\": {\n\t\t\"a\": {\"command\": \"x\",}, // mine\n\t},\n\t\"inputs\": [],\n}\n"
        try await withFolder(Self.files.merging([".vscode/mcp.json": before]) { $1 }) { folder in
            let file = folder + "/.vscode/mcp.json"
            let done = try await install(folder, "vscode", "office", Self.url, "--yes")
            #expect(done.status == 0 && done.output.contains("+ \t\t\"office\": {") && !done.output.contains("\n- "), "\(done)")
            let after = try String(contentsOfFile: file, encoding: .utf8)
            let (head, tail) = ("{\n\t// MCP servers\n\t\"servers\": {\n\t\t\"a\": {\"command\": \"x\",}, // mine\n", "\t},\n\t\"inputs\": [],\n}\n")
            #expect(after.hasPrefix(head + "\t\t\"office\": {\n") && after.hasSuffix("\n\t\t},\n" + tail), "\(after)")
            #expect(try await install(folder, "vscode", "office", Self.url, "--yes").output.hasSuffix("has it already\n"))
        }
    }

    @Test func aFileOfCarriageReturnsKeepsThem() async throws {
        let before = "{\r\n  \"servers\": {\r\n    \"a\": {\"command\": \"x\"}\r\n  }\r\n}\r\n"
        try await withFolder(Self.files.merging([".vscode/mcp.json": before]) { $1 }) { folder in
            let done = try await install(folder, "vscode", "office", Self.url, "--yes")
            let lines = done.output.split(separator: "\n").filter { $0.hasPrefix("+ ") || $0.hasPrefix("- ") }
            #expect(done.status == 0 && lines.first == #"-     "a": {"command": "x"}"# && lines.count == 7, "\(done)")
            #expect(!done.output.contains("\r") && !done.output.contains("\u{FFFD}"), "\(done)")
            let after = try String(contentsOfFile: folder + "/.vscode/mcp.json", encoding: .utf8)
            #expect(after.utf8.count { $0 == 0x0A } == after.utf8.count { $0 == 0x0D }, "\(after)")
            #expect(after.hasSuffix("\r\n    }\r\n  }\r\n}\r\n"), "\(after)")
        }
    }

    /// What can be seen of a URL without asking its server, which may not run yet.
    @Test func aURLThatLooksWrongIsToldOf() async throws {
        try await withFolder(Self.files) { folder in
            let done = try await Command.run(
                [Repository.binary("berth"), "install", "cursor", "x", "http://127.0.0.1:1", "--yes"], environment: ["BERTH_TOKEN": "tok-1"],
                directory: folder)
            #expect(done.status == 0 && done.errors.contains("did you mean http://127.0.0.1:1/mcp?"), "\(done)")
            #expect(done.errors.contains("BERTH_TOKEN is set"), "\(done)")
            #expect(try await install(folder, "cursor", "y", Self.url, "--yes").errors.isEmpty)
        }
    }

    @Test func mistakesChangeNothing() async throws {
        try await withFolder(Self.files) { folder in
            let broken = "{\n  // a comment\n}\n"
            try broken.write(toFile: folder + "/.mcp.json", atomically: true, encoding: .utf8)
            let refused = try await install(folder, "claude-code", "office", Self.url, "--yes")
            #expect(refused.status == 1 && refused.errors.contains("/.mcp.json is no JSON: line 2, column 3"), "\(refused)")
            #expect(try String(contentsOfFile: folder + "/.mcp.json", encoding: .utf8) == broken)
            try FileManager.default.createDirectory(atPath: folder + "/home", withIntermediateDirectories: true)
            let before = try Self.image(of: folder)
            for (arguments, says) in [
                (["cursor", "a b", Self.url], "'a b' is no name"), (["cursor", "a", "x"], "'x' is not http://"),
                (["cursor", "a", Self.url, "--token-file", "none"], "--token-file none cannot be read"), (["vscode", "a", Self.url, "--user"], "VS Code"),
                (["vim", "a", Self.url], "'claude-code'"),
            ] {
                let result = try await Command.run(
                    [Repository.binary("berth"), "install"] + arguments + ["--yes"], environment: ["HOME": folder + "/home"], directory: folder)
                #expect(result.status == 64 && result.errors.contains(says), "\(result)")
                #expect(try Self.image(of: folder) == before, "\(arguments)")
            }
        }
    }

    /// Every file below a folder, and what is in it.
    private static func image(of folder: String) throws -> [String: Data] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
        return Dictionary(uniqueKeysWithValues: names.map { ($0, FileManager.default.contents(atPath: folder + "/" + $0) ?? Data()) })
    }
}
