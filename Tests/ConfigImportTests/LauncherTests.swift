import Foundation
import TestSupport
import Testing

@testable import ConfigImport

/// What an interpreter is started with where a secret stands among the arguments: run by the real one.
@Suite struct LauncherTests {
    private let secret = "s3cret-\(UUID().uuidString)"

    private func connector(_ launcher: Launcher) -> ImportPlan.Connector {
        var connector = ImportPlan.Connector(source: .npm("x"))
        launcher.apply(to: &connector)
        return connector
    }

    private func folder(_ files: [String: String]) throws -> String {
        let folder = FileManager.default.temporaryDirectory.path + "/berth-launcher-\(UUID().uuidString)"
        for (name, text) in files {
            let path = folder + "/" + name
            try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }
        return folder
    }

    private static let tells = """
        import sys, json
        def main():
            shown = open("/proc/self/cmdline").read()
            print(json.dumps({"argv": sys.argv, "name": __name__, "shown": any(a in shown for a in sys.argv[1:] if "s3cret" in a)}))
        """

    @Test func python() async throws {
        let folder = try folder([
            "app/run.py": Self.tells + "\nimport beside\nif __name__ == '__main__': main()\n", "app/beside.py": "",
            "lib/mod.py": Self.tells + "\nif __name__ == '__main__': main()\n",
            "lib/tells.py": Self.tells, "lib/a_tool-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: a-tool\nVersion: 1.0\n",
            "lib/a_tool-1.0.dist-info/entry_points.txt": "[console_scripts]\nother-name = tells:main\n",
        ])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for (launcher, name) in [
            (Launcher.pythonScript(folder + "/app/run.py"), "run.py"), (.pythonModule("mod"), "mod.py"), (.pythonProgram("a_tool"), "other-name"),
        ] {
            let command = connector(launcher).command
            let result = try await Command.run(
                ["/usr/bin/python3"] + command.dropFirst() + ["--key=${secret:ARG_KEY}", "${secret:NONE}", "-x"],
                environment: ["ARG_KEY": secret, "PYTHONPATH": folder + "/lib"])
            let told = try #require(result.lastJSON, "\(result.output) \(result.errors)")
            let argv = try #require(told["argv"] as? [String])
            #expect((argv[0] as NSString).lastPathComponent == name)
            #expect(Array(argv.dropFirst()) == ["--key=\(secret)", "${secret:NONE}", "-x"])
            #expect(told["shown"] as? Bool == false, "the kernel shows it")
        }
        let none = try await Command.run(
            ["/usr/bin/python3"] + connector(.pythonProgram("nowhere")).command.dropFirst(), environment: ["PYTHONPATH": folder + "/lib"])
        #expect(none.status == 1 && none.errors == "no command nowhere is installed\n")
    }

    /// Of Node the option alone: what it does is seen where a Node server is hosted.
    @Test func nodeIsToldByItsOptions() throws {
        var connector = ImportPlan.Connector(source: .npm("x"))
        connector.environment["NODE_OPTIONS"] = "--no-warnings"
        Launcher.node.apply(to: &connector)
        let words = try #require(connector.environment["NODE_OPTIONS"]).split(separator: " ")
        #expect(words.count == 2 && words[0] == "--no-warnings" && words[1].hasPrefix("--import=data:text/javascript,process"))
    }
}
