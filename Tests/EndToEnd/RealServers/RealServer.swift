import Foundation
import TestSupport
import Testing

/// A server of the field, as `make test-all` installs it (pinned in Tests/Fixtures/Servers), and what it is known to say.
struct RealServer: Sendable, CustomTestStringConvertible {
    /// Also its environment's name in the directory of `BERTH_REAL_SERVERS`.
    let name: String
    /// What the index calls it.
    let package: String
    let language: String
    /// The first word is a path in its environment; in others `@` stands for that, and `%` for the folder of the test.
    let command: [String]
    var environment: [String: String] = [:]
    let era: String
    let tools: Int
    /// Harmless: a tool and its arguments. It says the same each time.
    let call: (tool: String, arguments: String)
    /// What the answer to it says, also where that is an error.
    let says: String
    var isError = false
    /// Files that it finds in the folder.
    var files: [String: String] = [:]

    var testDescription: String { name }

    /// From the file that pins it.
    var version: String {
        let pins = (try? String(contentsOfFile: Repository.fixture("Servers/\(name).txt"), encoding: .utf8)) ?? ""
        return pins.split(separator: "\n").first { $0.lowercased().hasPrefix(package + "==") }.map { String($0.dropFirst(package.count + 2)) } ?? "?"
    }

    static let all: [RealServer] = [
        RealServer(
            name: "time", package: "mcp-server-time", language: "Python", command: ["bin/mcp-server-time", "--local-timezone", "UTC"],
            era: "modern", tools: 2,
            call: ("convert_time", #"{"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}"#), says: "T21:00:00+09:00"),
        RealServer(
            name: "git", package: "mcp-server-git", language: "Python", command: ["bin/mcp-server-git", "--repository", "%/repo"],
            era: "modern", tools: 12, call: ("git_status", #"{"repo_path": "%/repo"}"#), says: "No commits yet"),
        RealServer(
            name: "fetch", package: "mcp-server-fetch", language: "Python", command: ["bin/mcp-server-fetch"], era: "modern", tools: 1,
            call: ("fetch", #"{"url": "http://127.0.0.1:1/"}"#), says: "not a public address", isError: true),
        RealServer(
            name: "sqlite", package: "mcp-server-sqlite", language: "Python, mcp 1.x", command: ["bin/mcp-server-sqlite", "--db-path", "%/a.db"],
            era: "legacy", tools: 6, call: ("read_query", #"{"query": "select 6 * 7 as x"}"#), says: "[{'x': 42}]"),
        RealServer(
            name: "calculator", package: "mcp-server-calculator", language: "Python", command: ["bin/mcp-server-calculator"], era: "legacy", tools: 1,
            call: ("calculate", #"{"expression": "6 * 7"}"#), says: "42"),
        RealServer(
            name: "text-editor", package: "mcp-text-editor", language: "Python, mcp 1.x", command: ["bin/mcp-text-editor"], era: "legacy", tools: 2,
            call: ("get_text_file_contents", #"{"files": [{"file_path": "%/note.txt", "ranges": [{"start": 2}]}]}"#), says: "total_lines",
            files: ["note.txt": "one\nzwölf\n"]),
        RealServer(
            name: "duckdb", package: "mcp-server-duckdb", language: "Python, mcp 1.x", command: ["bin/mcp-server-duckdb", "--db-path", "%/b.db"],
            era: "legacy", tools: 1, call: ("query", #"{"query": "select 6 * 7"}"#), says: "[(42,)]"),
        RealServer(
            name: "motherduck", package: "mcp-server-motherduck", language: "Python, FastMCP",
            command: ["bin/mcp-server-motherduck", "--db-path", ":memory:", "--read-write"], era: "modern", tools: 4,
            call: ("execute_query", #"{"sql": "select 6 * 7 as x"}"#), says: "42"),
        RealServer(
            name: "excel", package: "excel-mcp-server", language: "Python", command: ["bin/excel-mcp-server", "stdio"], era: "modern", tools: 46,
            call: ("create_workbook", #"{"path": "%/a.xlsx", "overwrite": true}"#), says: "a.xlsx"),
        RealServer(
            name: "redis", package: "redis-mcp-server", language: "Python", command: ["bin/redis-mcp-server", "--url", "redis://127.0.0.1:1/0"],
            era: "legacy", tools: 53, call: ("dbsize", "{}"), says: "Connection refused", isError: true),
        RealServer(
            name: "grafana", package: "mcp-grafana", language: "Go", command: ["bin/mcp-grafana"], environment: ["GRAFANA_URL": "http://127.0.0.1:1"],
            era: "modern", tools: 79, call: ("list_datasources", "{}"), says: "connection refused", isError: true),
        RealServer(
            name: "biomcp", package: "biomcp-cli", language: "Rust", command: ["bin/biomcp", "mcp"], era: "modern", tools: 7,
            call: ("biomcp", #"{"command": "version"}"#), says: "biomcp "),
        RealServer(
            name: "playwright", package: "playwright", language: "Node",
            command: ["driver/node", "@/driver/package/cli.js", "mcp", "--executable-path", "%/none"], era: "legacy", tools: 25,
            call: ("browser_tabs", #"{"action": "list"}"#), says: "executable doesn't exist", isError: true),
        RealServer(
            name: "wcgw", package: "wcgw", language: "Python, 3 processes", command: ["bin/wcgw_mcp"], era: "legacy", tools: 6,
            call: ("ReadFiles", #"{"file_paths": ["%/note.txt"]}"#), says: "zwölf", files: ["note.txt": "zwölf\n"]),
    ]

    static func named(_ name: String) -> RealServer? { all.first { $0.name == name } }
}
