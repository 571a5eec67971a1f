import Foundation

/// Where the checkout and its builds are.
public enum Repository {
    public static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()

    public static func fixture(_ name: String) -> String { root + "/Tests/Fixtures/" + name }

    /// The debug executables of this test run (they carry the failpoints), or those named by BERTH_BIN.
    public static func binary(_ name: String) -> String {
        (ProcessInfo.processInfo.environment["BERTH_BIN"] ?? root + "/.build/debug") + "/" + name
    }

    /// Python with the `mcp` SDK of that version, made by `make test`.
    public static func python(mcp version: String) -> String { root + "/.venv-mcp-\(version)/bin/python" }
}
