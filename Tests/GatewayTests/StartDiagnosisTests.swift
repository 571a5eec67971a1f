import MachineAPI
import Testing

@testable import Gateway

@Suite("why a server does not start")
struct StartDiagnosisTests {
    private static let new = StartDiagnosis(packages: ["mcp==2.3.0", "x==1"], isFolder: false)
    private static let folder = StartDiagnosis(packages: ["mcp==2.3.0"], isFolder: true)

    @Test func whatASilentServerMayNotBeDependsOnItsTransport() {
        var web = Self.folder
        for line in [
            "INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", "listening on http://[::]:8000/mcp",
            "Server started on http://localhost:8000",
        ] {
            let hint = "it speaks HTTP on port 8000, and not on standard input and output: give --http 8000"
            #expect(web.hint(stderr: "Starting\n\(line)\n") == hint, "\(line)")
        }
        #expect(!web.hint(stderr: "see the docs on http://example.com/x\n").contains("--http"))
        #expect(web.hint(stderr: "").hasPrefix("it wrote nothing: is it an MCP server on standard input and output?"))
        web.http = .init(port: 8_000)
        #expect(web.hint(stderr: "").hasPrefix("it wrote nothing: is it a Streamable HTTP server that listens on port 8000 of 127.0.0.1?"))
    }

    @Test(arguments: [
        ("AttributeError: 'Server' object has no attribute 'list_tools'", "mcp<2"),
        ("ImportError: cannot import name 'x' from 'mcp.server'", "mcp<2"),
        ("ModuleNotFoundError: No module named 'mcp.server.fastmcp'", "mcp<2"),
        ("TypeError: Server.__init__() got an unexpected keyword argument 'x'", "mcp<2"),
        ("ModuleNotFoundError: No module named 'requests'", "the module requests"),
        ("TypeError: my bug", "standard error is above"),
        ("AttributeError: 'NoneType' object has no attribute 'x'", "too new"),
        ("usage: server [-h]", "--arg"), ("", "wrote nothing"),
    ])
    func packages(stderr: String, hint: String) {
        #expect(
            Self.new.hint(stderr: "Traceback (most recent call last):\n  File x\n\(stderr)").contains(hint)
                || Self.new.hint(stderr: stderr).contains(hint))
    }

    @Test(arguments: [
        ("ModuleNotFoundError: No module named 'requests'", "--requirements"), ("AttributeError: module 'own' has no attribute 'x'", "above"),
        ("TypeError: my bug", "above"),
    ])
    func folders(stderr: String, hint: String) {
        #expect(Self.folder.hint(stderr: stderr).contains(hint))
        #expect(!Self.folder.hint(stderr: stderr).contains("mcp<2"))
    }

    @Test func whatOnlyPrintsIsNoServer() {
        let log = "info: not a message on the server's stdout: x\ninfo: server process 7 exited with status 0"
        #expect(Self.folder.hint(stderr: "info: serving machine a1 boot b1\n" + log).contains("is it an MCP server"))
        #expect(Self.folder.hint(stderr: log).contains("is it an MCP server"))
        #expect(Self.folder.hint(stderr: log + "\ninfo: [8] a word of its own").contains("above"))
    }

    /// It needs somebody at its start whom its machine does not reach.
    @Test func whoCallsOutIsToldOfEgress() {
        let error = "httpx.ConnectError: [Errno -3] Temporary failure in name resolution"
        #expect(Self.new.hint(stderr: "Traceback\n" + error).contains("--egress HOST"))
        let log = "warning: egress refused: a.example is not on the list; to allow it: --egress a.example\ninfo: [7] \(error)"
        #expect(Self.new.hint(stderr: error, log: log).hasSuffix("add --egress a.example"))
        #expect(!Self.new.hint(stderr: "usage: server [-h]", log: log).contains("egress"), "it did not end of that")
    }

    @Test func anOldSDKIsNotToBlame() {
        let old = StartDiagnosis(packages: ["mcp==1.30.0"], isFolder: false)
        #expect(!old.hint(stderr: "AttributeError: 'Server' object has no attribute 'x'").contains("mcp<2"))
    }

    @Test func theLastProcessAlone() {
        let log = """
            info: serving machine m boot b
            info: [7] first
            info: server process 7 exited with status 1
            info: [9] Traceback
            info: [9]   File "x", line 3
            info: [9] ModuleNotFoundError: No module named 'y'
            info: server process 9 exited with status 1
            """
        #expect(StartDiagnosis.lastProcess(log) == "Traceback\n  File \"x\", line 3\nModuleNotFoundError: No module named 'y'")
        #expect(StartDiagnosis.lastProcess("info: serving machine m boot b") == "info: serving machine m boot b")
    }
}
