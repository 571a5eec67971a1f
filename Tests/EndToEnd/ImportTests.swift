import Foundation
import Sealing
import TestSupport
import Testing

/// `berth import`: a client's file becomes connectors behind one URL.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct ImportTests {
    private func write(_ berth: Berth, _ servers: [String: Any], name: String = "desk.json") throws -> String {
        let path = (berth.state as NSString).deletingLastPathComponent + "/" + name
        try JSONSerialization.data(withJSONObject: ["mcpServers": servers]).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// A folder with the fixture that tells what it was told.
    private func folder(_ berth: Berth) throws -> String {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/argued-source"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Repository.fixture("argued.py"), toPath: folder + "/server.py")
        // Nobody else may read it: it is no part of a server.
        try Data("mine".utf8).write(to: URL(fileURLWithPath: folder + "/notes.txt"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/notes.txt")
        return folder
    }

    /// A folder whose list of packages is a link to a file that only root may read.
    private func linked(_ berth: Berth, to secret: String) throws -> String {
        let base = (berth.state as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: base + "/linked", withIntermediateDirectories: true)
        try Data("print()\n".utf8).write(to: URL(fileURLWithPath: base + "/linked/server.py"))
        try Data(secret.utf8).write(to: URL(fileURLWithPath: base + "/roots"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: base + "/roots")
        try FileManager.default.createSymbolicLink(atPath: base + "/linked/requirements.txt", withDestinationPath: base + "/roots")
        return base + "/linked"
    }

    @Test func aClientsServersBehindOneURL() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let (key, argument) = ("sk-\(UUID().uuidString)", "t0ken\(UUID().uuidString)")
            let folder = try folder(berth)
            let file = try write(
                berth,
                [
                    "Time": ["command": "uvx", "args": ["--with", "iniconfig", "mcp-server-time", "--local-timezone=UTC"]],
                    "calc": ["command": "pipx", "args": ["run", "--spec", "mcp-server-calculator", "mcp-server-calculator"]],
                    "argued": [
                        "command": "python3", "args": [folder + "/server.py", "--token", argument, "plain"],
                        "env": ["API_KEY": key, "LOG_LEVEL": "debug"],
                    ],
                    "wrong": ["command": "uvx", "args": ["berth-no-such-package-anywhere"], "env": ["OTHER_KEY": key]],
                    "linked": ["command": "python3", "args": [try linked(berth, to: key) + "/server.py"]],
                    // The state of a Berth, a stranger's package and a way out.
                    "keys": [
                        "command": "uv",
                        "args": ["run", "--with", "iniconfig", "--directory", berth.state + "/gateway", "mcp", "run", "version", "--api=https://evil.example.com"],
                    ],
                    "far": ["type": "http", "url": "https://mcp.example.com/x", "headers": ["Authorization": "Bearer \(key)"]],
                ])
            let before = try Data(contentsOf: URL(fileURLWithPath: file))

            // Nobody is asked, and nothing is done without a yes; a dry run tells the plan.
            let unsure = try await berth.run(["import", file])
            #expect(unsure.status == 64 && unsure.errors.contains("--yes imports without asking"), "\(unsure.errors)")
            let dry = try await berth.run(["import", file, "--dry-run"])
            #expect(
                dry.status == 0 && dry.output.contains("API_KEY, ARG_TOKEN") && dry.output.contains("Virtual MCP: desk"),
                "\(dry.output) \(dry.errors)")
            #expect(dry.output.contains("\(berth.state) holds the state of a Berth, with its keys"), "\(dry.output)")
            #expect((try await berth.json(["connector", "list"])["connectors"] as? [Any])?.isEmpty == true)

            // One that fails does not lose the others, and the end says so.
            let done = try await berth.run(["import", file, "--yes", "--for", "alice"], seconds: 400)
            #expect(done.status == 1 && done.errors.contains("berth: 4 servers of \(file) not imported"), "\(done.output) \(done.errors)")
            #expect(done.output.contains("URL    \(berth.url)/v/desk/mcp") && done.output.contains("Without a network: "), "\(done.output)")
            #expect(done.errors.contains("the link requirements.txt leaves the folder"), "\(done.errors)")
            #expect(done.errors.contains("left out: notes.txt (others may not read it: "), "\(done.errors)")
            let line = try #require(done.output.split(separator: "\n").first { $0.hasPrefix("Token  ") })
            let token = String(line.split(separator: " ")[1])
            let client = RawClient(url: berth.url + "/v/desk/mcp", token: token)
            let time = try await client.call("get_current_time", ["timezone": "UTC"])
            #expect(time.text?.contains("UTC") == true, "\(time.json)")
            #expect(try await client.call("calculate", ["expression": "6*7"]).text?.contains("42") == true)
            let told = try await client.call("told")
            let answer = try JSONSerialization.jsonObject(with: Data((told.text ?? "").utf8)) as? [String: Any] ?? [:]
            #expect(answer["argv"] as? [String] == ["--token", argument, "plain"].map { (try? SHA256.hex($0)) ?? "" }, "\(told.json) \(berth.log)")
            #expect(answer["key"] as? String == (try SHA256.hex(key)))
            #expect(answer["shown"] as? Bool == false, "the secret stands in the process list")

            let packages = try await berth.json(["connector", "show", "time"])["packages"] as? [String] ?? []
            #expect(packages.contains { $0.hasPrefix("iniconfig==") }, "\(packages)")

            // Again: what is there stays, what is not is tried; a name that is taken by something else is refused.
            let again = try await berth.run(["import", file, "--yes", "--json", "--only", "Time", "--only", "calc"], seconds: 400)
            #expect(again.status == 0, "\(again.output) \(again.errors)")
            #expect(again.lastJSON?["imported"] as? [String] == ["calc", "time"] || again.lastJSON?["imported"] as? [String] == ["time", "calc"])
            #expect(again.lastJSON?["token"] == nil)
            let other = try write(
                berth, ["time": ["command": "uvx", "args": ["mcp-server-time", "--local-timezone=Europe/Berlin"]]], name: "other.json")
            let clash = try await berth.run(["import", other, "--yes"])
            #expect(clash.status == 1 && clash.output.contains("another connector is called time"), "\(clash.output) \(clash.errors)")
            let replaced = try await berth.run(["import", other, "--yes", "--replace", "--into", "desk"], seconds: 400)
            #expect(replaced.status == 0, "\(replaced.output) \(replaced.errors)")
            #expect((try await berth.json(["connector", "show", "time"])["args"] as? [String]) == ["--local-timezone=Europe/Berlin"])

            #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == before, "the file was changed")
            for secret in [key, argument] {
                try await isNowhere(secret, berth, [unsure, dry, done, again, clash, replaced])
            }
        }
    }

    /// Not in what was printed, in files of the state, in process lists, logs or audit rows.
    private func isNowhere(_ secret: String, _ berth: Berth, _ results: [CommandResult]) async throws {
        for result in results { #expect(!result.output.contains(secret) && !result.errors.contains(secret)) }
        let grep = try await Command.run(["/usr/bin/grep", "-rlaF", "--", secret, berth.state, "/run/berth"])
        #expect(grep.output.isEmpty, "in \(grep.output)")
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(entry) != nil {
            let line = (try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8)) ?? ""
            #expect(!line.contains(secret), "\(line)")
        }
        for name in ["argued", "time"] {
            let shown = try await berth.run(["connector", "show", name, "--json"])
            let log = try await berth.run(["logs", name])
            #expect(!(shown.output + log.output).contains(secret))
        }
        #expect(!"\(try await berth.audit())".contains(secret))
    }

    /// The plan needs no Berth, and standard input is a file.
    @Test func whatIsTypedWrongly() async throws {
        let berth = try Berth()
        defer { try? FileManager.default.removeItem(atPath: (berth.state as NSString).deletingLastPathComponent) }
        try FileManager.default.createDirectory(atPath: (berth.state as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        let file = Repository.fixture("Clients/vscode.mcp.json")
        let plan = try await berth.run(["import", file, "--dry-run", "--json"])
        let servers =
            plan.output.split(separator: "\n").first.flatMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }?["servers"]
            as? [[String: Any]] ?? []
        #expect(
            plan.status == 0 && servers.count == 4 && servers[1]["args"] as? [String] == ["--local-timezone", "UTC"], "\(plan.output) \(plan.errors)")
        #expect(servers.first?["hint"] as? String == "--secret perplexity-key asks for it, --secret perplexity-key=@FILE reads a file")
        let text = #"{"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}"#
        for row in [
            BadInput("import", "-", "--dry-run", code: 64, says: "standard input has no object mcpServers, nor servers — *", input: "{}"),
            BadInput(
                "import", "-", "--yes", "--secret", "K", code: 64, says: "standard input is the file, and --secret would ask there — *", input: text),
            BadInput("import", "/nowhere.json", code: 64, says: "/nowhere.json cannot be read: No such file or directory — *"),
            BadInput("import", "/", code: 64, says: "/ cannot be read: Is a directory — *"),
            BadInput("import", file, "--into", "No Name", code: 64, says: "'No Name' is no name for a virtual MCP — *"),
            BadInput("import", file, "--only", "clok", "--dry-run", code: 64, says: "the file has no server clok — did you mean 'clock'?"),
            BadInput("import", file, "--egress", "x.example", "--dry-run", code: 64, says: "--egress x.example names no server — *"),
            BadInput("import", file, "--egress", "clock=10.0.0.1/8", "--dry-run", code: 64, says: "--egress: *"),
            BadInput(
                "import", file, "--secret", "zon=@\(Repository.fixture("tiny.c"))", "--dry-run", code: 64,
                says: "--secret zon: the file leaves no such value open — did you mean 'zone'?"),
            BadInput("import", "-", "--yes", says: "Berth is not running with the state *", input: text),
        ] {
            let result = try await berth.run(row.arguments, input: row.input ?? "")
            if let problem = row.fits(result) { Issue.record("\(problem)") }
        }
    }
}
