import Foundation
import JSONText
import TestSupport
import Testing

@testable import ConfigImport

/// Files as each client writes them, and what becomes of every server in them.
@Suite struct ClientFilesTests {
    static let disk = Surroundings { path in
        switch path {
        case "/home/ada/weather", "/home/ada/notes": .directory
        case "/home/ada/weather/weather.py", "/home/ada/weather/requirements.txt", "/home/ada/notes/server.py": .text(interpreter: "")
        case "/opt/tools/my-server": .program
        default: .nothing
        }
    }

    static func file(_ name: String) throws -> ImportFile {
        try ImportFile(parsing: Array(try Data(contentsOf: URL(fileURLWithPath: Repository.fixture("Clients/" + name)))), file: name)
    }

    /// A line for each server: name, source, command, arguments, variables, names of secrets, hosts; or why not.
    static func lines(_ plan: ImportPlan) -> [String] {
        plan.items.map { item in
            switch item.outcome {
            case .disabled: return "\(item.given): off"
            case .refused(let refusal): return "\(item.given): no: \(refusal.reason)"
            case .connector(let connector):
                // The launcher's own code is not looked at here.
                let command = connector.command.contains("-c") ? Array(connector.command.suffix(2)) : connector.command
                let environment = connector.environment.filter { $0.key != "NODE_OPTIONS" }.map { "\($0.key)=\($0.value)" }.sorted()
                return [
                    "\(item.name): \(connector.source.text)", "\(command)", "\(connector.arguments)", "\(environment)",
                    "\(connector.secrets.keys.sorted())", "\(connector.egress)",
                ]
                .joined(separator: " ")
            }
        }
    }

    @Test func claudeDesktop() throws {
        let file = try Self.file("claude_desktop_config.json")
        let plan = ImportPlan(file, surroundings: Self.disk)
        #expect(
            Self.lines(plan) == [
                #"time: --pypi mcp-server-time [] ["--local-timezone=Europe/Berlin"] [] [] []"#,
                #"github: --oci ghcr.example.com/github/github-mcp-server [] [] [] ["GITHUB_PERSONAL_ACCESS_TOKEN"] []"#,
                #"filesystem: --npm @modelcontextprotocol/server-filesystem [] ["/Users/ada/Documents"] [] [] []"#,
                #"brave-search: --npm @modelcontextprotocol/server-brave-search@0.6.2 [] [] [] ["BRAVE_API_KEY"] []"#,
                #"postgres: --npm @modelcontextprotocol/server-postgres [] ["${secret:ARG_2}"] [] ["ARG_2"] []"#
                    .replacing("ARG_2", with: "ARG_1"),
                #"weather: --dir /home/ada/weather --requirements /home/ada/weather/requirements.txt ["python3", "weather.py"] [] [] [] []"#,
                #"notes: --dir /home/ada/notes with mcp[cli] ["mcp", "run", "server.py"] [] [] [] []"#,
                "local-node: no: node runs a program of the client's host, and images of folders have no Node",
            ])
        let connectors = Dictionary(uniqueKeysWithValues: plan.connectors.map { ($0.name, $0.connector) })
        #expect(connectors["postgres"]?.secrets == ["ARG_1": "postgresql://ada:hunter2secret@db.example.com:5432/shop"])
        #expect(connectors["github"]?.secrets == ["GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_0123456789abcdefABCDEF0123456789abcd"])
        #expect(connectors["brave-search"]?.remarks == ["the value of BRAVE_API_KEY looks like an example's"])
        #expect(connectors["filesystem"]?.remarks == ["1 argument of it names a path of the client's host: its machine has none of it"])
        #expect(ConnectorName.ofFile("/home/ada/.config/Claude/claude_desktop_config.json") == "claude-desktop")
    }

    @Test func claudeCode() throws {
        let file = try Self.file("claude_code.mcp.json")
        let key = Placeholder(.environment, "EXAMPLE_KEY")
        guard case .process(let process) = file.servers[1].start else { throw Trouble(text: "no process") }
        #expect(process.needs == [key], "what has a value of its own is not asked for")
        #expect(
            Self.lines(ImportPlan(file, values: [key: "k-1"], surroundings: Self.disk)) == [
                "sentry: no: it is a server elsewhere, at https://mcp.sentry.example.com",
                #"sqlite: --pypi mcp-server-sqlite==2025.4.25 --with mcp<2 [] ["--db-path", "/tmp/x.db"] ["API_BASE_URL=https://api.example.com:8443/v1", "LOG_LEVEL=debug"] ["API_KEY"] ["api.example.com:8443"]"#,
                #"pinned: --pypi mcp-server-fetch[extra]==2026.1.1 [] ["--ignore-robots-txt"] [] [] []"#,
                #"module: --pypi mcp-server-git ["python3", "-m", "mcp_server_git"] ["--repository", "/srv/repo"] [] [] []"#,
            ])
        #expect(
            Self.lines(ImportPlan(file, surroundings: Self.disk))[1] == "sqlite: no: it needs a value for ${env:EXAMPLE_KEY}",
            "and what nobody said is told by its name")
    }

    @Test func cursor() throws {
        let values = [Placeholder(.environment, "SLACK_KEY"): "abc", Placeholder(.environment, "SLACK_TOKEN"): "xoxb-1"]
        let plan = ImportPlan(try Self.file("cursor.mcp.json"), values: values, surroundings: Self.disk)
        #expect(
            Self.lines(plan) == [
                "linear: no: it is a server elsewhere, at https://mcp.linear.example.com",
                #"slack: --npm slack-mcp-server@latest [] ["--transport", "stdio", "--api-key=${secret:ARG_API_KEY}"] ["SLACK_REGION=eu-west-1"] ["ARG_API_KEY", "SLACK_MCP_XOXB_TOKEN"] []"#,
                "mine: no: a secret stands among its arguments (--token), which everybody on this host could read in the process list",
                "off: off",
            ])
        #expect(plan.connectors.first?.connector.secrets == ["ARG_API_KEY": "abc", "SLACK_MCP_XOXB_TOKEN": "xoxb-1"])
        #expect(ConnectorName.ofFile("/home/ada/.cursor/mcp.json") == "cursor")
    }

    @Test func visualStudioCode() throws {
        let file = try Self.file("vscode.mcp.json")
        #expect(file.section == "servers")
        #expect(
            file.inputs == [
                ImportFile.Input(id: "perplexity-key", description: "Perplexity API Key", isSecret: true, standard: nil),
                ImportFile.Input(id: "zone", description: "Time zone", isSecret: false, standard: "UTC"),
            ])
        let values = [Placeholder(.input, "perplexity-key"): "pplx-1", Placeholder(.input, "zone"): "UTC"]
        #expect(
            Self.lines(ImportPlan(file, values: values, surroundings: Self.disk)) == [
                #"perplexity: --npm server-perplexity-ask ["mcp-server-perplexity-ask"] [] [] ["PERPLEXITY_API_KEY"] []"#,
                #"clock: --pypi mcp-server-time [] ["--local-timezone", "UTC"] [] [] []"#,
                "project: no: it names ${workspaceFolder}, a place of the client's",
                "remote: no: it is a server elsewhere, at https://tools.example.com",
            ])
        #expect(ConnectorName.ofFile("/home/ada/shop/.vscode/mcp.json") == "vscode")
    }

    /// Whatever is refused or remarked on: no value of the file is in it.
    @Test func noValueIsTold() throws {
        let values = ["ghp_0123", "hunter2secret", "do-not-tell", "s3cr3t-value", "YOUR_API_KEY", "xoxb-"]
        for name in ["claude_desktop_config.json", "claude_code.mcp.json", "cursor.mcp.json", "vscode.mcp.json"] {
            for item in ImportPlan(try Self.file(name), surroundings: Self.disk).items {
                var told: [String] = []
                switch item.outcome {
                case .refused(let refusal): told = [refusal.reason, refusal.remedy]
                case .connector(let connector):
                    told =
                        connector.remarks + connector.arguments + connector.command + connector.egress + [connector.source.text]
                        + connector.environment.map(\.value)
                case .disabled: break
                }
                for text in told { #expect(!values.contains { text.contains($0) }, "\(item.given): \(text)") }
            }
        }
    }
}

struct Trouble: Error { var text: String }
