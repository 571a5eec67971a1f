import Glibc
import MachineAPI
import Testing

@testable import Orchestrator

@Suite struct ImagesNpmTests {
    @Test(arguments: [
        ("name", "name@latest", false), ("name@1.2.3", "name@1.2.3", true), ("@scope/name", "@scope/name@latest", false),
        ("@scope/name@^1.0.0", "@scope/name@^1.0.0", false), ("name@1", "name@1", false), ("name@1.2.3-beta.1", "name@1.2.3-beta.1", true),
        ("name@>=1 <2", "name@>=1 <2", false), (" name@next ", "name@next", false), ("JSONStream", "JSONStream@latest", false),
    ])
    func whatMayBeAskedFor(_ given: String, _ text: String, _ isPinned: Bool) throws {
        let spec = try NpmSpec(given)
        #expect(spec.text == text && spec.isPinned == isPinned)
    }

    @Test(arguments: [
        "", "@", "@scope", "@scope/", "@/name", "@a/b/c", "../x", "./x", "/x", "x/y", "-x", ".x", "name@", "name@-g", "name@npm:other@1",
        "name@git+ssh://x", "name@file:../x", "name@https://x/y.tgz", "name@user/repo", "git@host:x", "na me", "name@1\n2", "naïve", "a\u{0}b",
        String(repeating: "x", count: 215),
    ])
    func whatMayNot(_ given: String) {
        let failure = #expect(throws: ImageBuildFailure.self) { _ = try NpmSpec(given) }
        #expect(failure?.error == "bad_source")
    }

    private func lock(_ entries: String) -> [UInt8] { Array(#"{"lockfileVersion":3,"packages":{"":{"name":"server"},\#(entries)}}"#.utf8) }

    @Test func aLockNamesWhatWasInstalled() throws {
        let good = #""node_modules/a":{"version":"1.0.0","resolved":"https://r.example/a/-/a.tgz","integrity":"sha512-x"}"#
        let nested =
            #""node_modules/a/node_modules/@s/b":{"version":"2.0.0","resolved":"https://r.example/b.tgz","integrity":"sha1-x","hasInstallScript":true}"#
        let found = try NpmLock(lock(good + "," + nested), registry: "https://r.example")
        #expect(found.packages == ["@s/b@2.0.0", "a@1.0.0"] && found.withScripts == ["@s/b"])
        // Its archives may lie beside the registry's own path.
        #expect(try NpmLock(lock(good), registry: "https://r.example/npm/team").packages == ["a@1.0.0"])
        // What came in the archive of another has that one's hash alone; without another it came from nowhere.
        let bundled = #""node_modules/a/node_modules/b":{"version":"2.0.0","inBundle":true}"#
        #expect(try NpmLock(lock(good + "," + bundled), registry: "https://r.example").packages == ["a@1.0.0", "b@2.0.0"])
        for orphan in [#""node_modules/b":{"version":"2.0.0","inBundle":true}"#, bundled.replacing("/a/", with: "/c/")] {
            #expect(throws: ImageBuildFailure.self) { _ = try NpmLock(lock(good + "," + orphan), registry: "https://r.example") }
        }
        #expect(throws: ImageBuildFailure.self) { _ = try NpmLock(lock(good), registry: "http://r.example") }
    }

    @Test(arguments: [
        #""node_modules/a":{"version":"1","resolved":"https://other.example/a.tgz","integrity":"sha512-x"}"#,
        #""node_modules/a":{"version":"1","resolved":"https://r.example.evil/a.tgz","integrity":"sha512-x"}"#,
        #""node_modules/a":{"version":"1","resolved":"git+https://r.example/a","integrity":"sha512-x"}"#,
        #""node_modules/a":{"version":"1","resolved":"https://r.example/a.tgz"}"#,
        #""node_modules/a":{"version":"1","resolved":"https://r.example/a.tgz","integrity":"md5-x"}"#,
        #""node_modules/a":{"version":"1","integrity":"sha512-x"}"#,
        #""node_modules/a":{"resolved":"../a","link":true}"#, #""a":{"version":"1","resolved":"https://r.example/a.tgz","integrity":"sha512-x"}"#,
    ])
    func aLockThatLeadsElsewhereIsRefused(_ entry: String) {
        let failure = #expect(throws: ImageBuildFailure.self) { _ = try NpmLock(lock(entry), registry: "https://r.example") }
        #expect(failure?.error == "build_failed")
        #expect(throws: ImageBuildFailure.self) { _ = try NpmLock(Array("{".utf8), registry: "https://r.example") }
    }

    @Test func programsOfAPackageStayInIt() throws {
        func programs(_ text: String) -> [String: String] { NpmPrograms(Array(text.utf8), package: "@s/name").programs }
        #expect(programs(#"{"bin":"./cli.js"}"#) == ["name": "cli.js"])
        #expect(programs(#"{"bin":{"a":"bin/a.js","up":"../../x","abs":"/etc/x","dot":"."}}"#) == ["a": "bin/a.js"])
        #expect(programs(#"{"bin":[1]}"#).isEmpty && programs("{").isEmpty && programs(#"{"bin":{"a":1}}"#).isEmpty)
        func standard(_ text: String) throws -> String { try NpmPrograms(Array(text.utf8), package: "@s/name").standard(of: "@s/name") }
        #expect(try standard(#"{"bin":{"name":"n.js","other":"o.js"}}"#) == "n.js")
        #expect(try standard(#"{"bin":{"x":"n.js","y":"./n.js"}}"#) == "n.js")
        #expect(throws: ImageBuildFailure.self) { try standard(#"{"bin":{"x":"a.js","y":"b.js"}}"#) }
        #expect(throws: ImageBuildFailure.self) { try standard("{}") }
    }

    @Test func aProgramOfAPackageIsStartedByNode() throws {
        let scratch = ImagesScratch()
        let modules = "root/opt/npm/node_modules/"
        try scratch.file(modules + "demo/package.json", #"{"bin":{"demo":"cli.js","native":"run","gone":"none.js","out":"link.js"}}"#)
        try scratch.file(modules + "demo/cli.js", "#!/usr/bin/env node\n", mode: 0o755)
        try scratch.file(modules + "demo/run", "#!/bin/bash\n", mode: 0o755)
        try scratch.file(modules + ".bin/helper", "console.log(1)\n", mode: 0o755)
        // A link that leads out of the image leads into the image.
        let root = scratch.path + "/root"
        #expect(symlink("../../../../../../../../etc/passwd", root + "/opt/npm/node_modules/demo/link.js") == 0)
        let start = NodeStart(packages: RootTree(root), base: RootTree(try scratch.directory("base")), package: "demo")
        #expect(try start.resolve(nil, arguments: ["x"]) == ["/opt/node/bin/node", "/opt/npm/node_modules/demo/cli.js", "x"])
        #expect(try start.resolve(["node", "--version"], arguments: []) == ["/opt/node/bin/node", "--version"])
        #expect(try start.resolve(["helper", "1"], arguments: []) == ["/opt/node/bin/node", "/opt/npm/node_modules/.bin/helper", "1"])
        for (word, error) in [("native", "exec_format"), ("gone", "no_console_script"), ("out", "no_console_script"), ("npx", "no_console_script")] {
            let failure = #expect(throws: ImageBuildFailure.self) { try start.resolve([word], arguments: []) }
            #expect(failure?.error == error, "\(word)")
        }
    }

    @Test(arguments: [
        ("npm error code E404\nnpm error 404  The requested resource 'nope@latest' could not be found", "unknown_package"),
        ("npm error code ETARGET\nnpm error notarget No matching version found for demo@9.", "unknown_version"),
        ("npm error code EINTEGRITY\n", "bad_package"), ("npm error code EALLOWGIT\n", "bad_package"), ("npm error code ENOTFOUND\n", "network"),
        ("npm error code ERESOLVE\n", "no_solution"), ("No space left on device", "disk_full"), ("whatever", "build_failed"),
    ])
    func whatNpmSaysIsUnderstood(_ log: String, _ error: String) throws {
        let registry = try IndexConfiguration(url: "https://registry.example")
        let failure = NpmDiagnosis(spec: try NpmSpec("demo@9"), registry: registry).failure(of: BuildJobResult(exitCode: 20, log: log))
        #expect(failure.error == error && failure.message.hasSuffix("."), "\(failure)")
    }

    @Test func aPackageIsInstalledBesideNode() async throws {
        let machine = ImagesMachine { job in
            let home = job.output + "/tree/opt/npm"
            try Files.makeDirectories(home + "/node_modules/demo", mode: 0o700)
            try Files.write(home + "/node_modules/demo/package.json", Array(#"{"bin":"cli.js"}"#.utf8))
            try Files.write(home + "/node_modules/demo/cli.js", Array("1\n".utf8))
            try Files.write(
                home + "/package-lock.json",
                Array(
                    #"{"lockfileVersion":3,"packages":{"node_modules/demo":{"version":"1.0.0","resolved":"https://registry.example/d.tgz","integrity":"sha512-x"}}}"#
                        .utf8))
            return BuildJobResult(exitCode: 0, log: "")
        }
        let fixture = try ImagesFixture(machine: machine)
        let built = try #require(await fixture.build(ImageSource(npm: "demo@1.0.0")).outcome.built)
        #expect(built.command == ["/opt/node/bin/node", "/opt/npm/node_modules/demo/cli.js"] && built.packages == ["demo@1.0.0"])
        let job = try #require(machine.jobs.first)
        // The registry that npm itself named, and nothing else.
        #expect(job.egress == ["registry.example:443"] && job.command.last == "https://registry.example")
        #expect(try #require(await fixture.store.layers(of: built.image)).layers.count == 3)
        #expect(try await fixture.build(ImageSource(npm: "demo@1.0.0")).steps.contains("Built before: nothing to do."))
        #expect(machine.jobs.count == 1 && fixture.leftovers.isEmpty)
    }

    @Test func nodeIsTheOneThatTheListNames() throws {
        let path = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let list = try #require(Files.read("/" + path + "/images/node.lock"))
        let pin = NodePin.current
        #expect(list.contains("\(pin.project)==\(pin.version) \(pin.file) sha256:\(pin.sha256) layer sha256:\(pin.layer)\n"))
    }
}
