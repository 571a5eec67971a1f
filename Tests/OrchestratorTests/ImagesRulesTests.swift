import MachineAPI
import Testing

@testable import Orchestrator

@Suite struct ImagesRulesTests {
    @Test(arguments: [
        ("mcp-server-time", "mcp-server-time", false), ("mcp-server-time==2026.10.19", "mcp-server-time", true),
        ("  Foo_Bar.Baz  ", "foo-bar-baz", false),
        ("a[x,y]==1.0", "a", true), ("a[x] >=1,<2", "a", false), ("mcp<2", "mcp", false), ("a==1.*", "a", false),
        ("a ~= 1.4 ; python_version < '4'", "a", false), ("a (>=1, !=2)", "a", false), ("a===1", "a", true),
    ])
    func requirementsAreRead(_ text: String, _ name: String, _ isPinned: Bool) throws {
        let requirement = try Requirement(text)
        #expect(requirement.name == name)
        #expect(requirement.isPinned == isPinned)
    }

    @Test(arguments: [
        "", "-r /etc/passwd", "--index-url=http://x", "a @ http://x/y.whl", "./local", "git+https://x/y", "a\nb", "a b", "a[x", "a==1 --hash=x @y",
        "ä", "a-", "/etc",
        "a==1 # x", "a \\", "mcp<<2", "mcp=2", "mcp>=1,=>2", "mcp (<>2)",
    ])
    func whatIsNoRequirementIsRefused(_ text: String) {
        #expect(throws: ImageBuildFailure.self) { _ = try Requirement(text) }
    }

    @Test(arguments: [
        ("six\n--index-url http://127.0.0.1:1\n", 2, "--index-url http://127.0.0.1:1"),
        ("--extra-index-url=http://x\r\nsix", 1, "--extra-index-url=http://x"),
        ("\n# -r no\nsix # -e no\n  -r other.txt # more", 4, "-r other.txt"), ("-e.", 1, "-e."),
        ("--find-links ./wheels", 1, "--find-links ./wheels"),
        ("six==1 \\\n --hash=sha256:0\n-i http://x", 3, "-i http://x"), ("--index\\\n-url x", 1, "--index-url x"),
        ("--requirement=/etc/passwd", 1, "--requirement=/etc/passwd"), ("-chttp://x", 1, "-chttp://x"),
        ("\u{FEFF}-i http://x\nsix", 1, "-i http://x"),
    ])
    func aRequirementsFileNamesNoOtherSource(_ text: String, _ line: Int, _ said: String) throws {
        let failure = try #require(throws: ImageBuildFailure.self) { try RequirementsFile.check(Array(text.utf8)) }
        #expect(failure.error == "bad_requirements" && failure.hint != nil)
        #expect(failure.message == "Line \(line) of the requirements, \(said), is not supported.")
    }

    @Test(arguments: [
        "", "six\n", "six==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n", "# --index-url x\nmcp[cli]<2 ; python_version > '3'",
        "--pre\nsix", "\u{FF}\u{0}",
    ])
    func aPlainRequirementsFilePasses(_ text: String) throws { try RequirementsFile.check(Array(text.utf8)) }

    @Test func locksAreRead() {
        let lock =
            "annotated-types==0.8.0 \\\n    --hash=sha256:13b2 \\\n    --hash=sha256:f072\n"
            + "mcp==2.3.0 ; python_version >= '3' \\\n    --hash=sha256:aa\n# via x\n"
        #expect(Lockfile.packages(lock) == ["annotated-types==0.8.0", "mcp==2.3.0"])
        #expect(Lockfile.isHashed(lock))
        #expect(!Lockfile.isHashed("a==1\nb==2 --hash=sha256:1\n"))
    }

    /// A list of packages is held against what lies there.
    @Test func whatIsInstalledIsInTheLock() throws {
        let scratch = ImagesScratch()
        for (folder, name, version) in [("Demo_Tool-1.00.dist-info", "Demo_Tool", "1.00"), ("b-2.post1.dist-info", "b", "2.post1")] {
            try scratch.file("opt/\(folder)/METADATA", "Metadata-Version: 2.1\nName: \(name)\nVersion: \(version)\n")
        }
        let home = scratch.path + "/opt"
        #expect(Lockfile.unlisted(in: home, "demo-tool==1.0 --hash=sha256:1\nb[x]==2-post1 \\\n  --hash=sha256:2\nnot-here==1\n") == nil)
        #expect(Lockfile.unlisted(in: home, "demo-tool==1.1\nb==2.post1\n") == "demo-tool 1.00")
        #expect(Lockfile.unlisted(in: home, "demo-tool==1.0\n") == "b 2.post1")
        #expect(Lockfile.unlisted(in: home, "demo-tool==10\nb==2.post1\n") == "demo-tool 1.00")
    }

    @Test func consoleScriptsAreRead() {
        let scripts = ConsoleScript.parse(
            """
            # comment
            [gui_scripts]
            gui = a:b
            [console_scripts]
            mcp-server-time = mcp_server_time:main
            other=pkg.cli:App.run [extra]
            evil = os:system('x')
            e'vil = a:b
            nofunction = module
            keyword = a.1b:c
            """)
        #expect(scripts.map(\.name) == ["mcp-server-time", "other"])
        #expect(scripts[1].start == .function(module: "pkg.cli", object: "App.run"))
        #expect(
            scripts[1].command(python: "3.11")
                == ["/usr/bin/python3", "-P", "-c", "import sys; sys.argv[0] = 'other'; from pkg.cli import App; sys.exit(App.run())"])
        #expect(!scripts[0].command(python: "3.10").contains("-P"))
    }

    @Test func theScriptOfAPackageIsChosen() throws {
        func scripts(_ names: String...) -> [ConsoleScript] { names.map { ConsoleScript(name: $0, start: .function(module: "m", object: "f")) } }
        #expect(try ConsoleScript.choose(from: scripts("x", "demo"), package: "demo").name == "demo")
        #expect(try ConsoleScript.choose(from: scripts("x", "awslabs.aws-doc"), package: "awslabs-aws-doc").name == "awslabs.aws-doc")
        #expect(try ConsoleScript.choose(from: scripts("only"), package: "demo").name == "only")
        let several = try #require(throws: ImageBuildFailure.self) { _ = try ConsoleScript.choose(from: scripts("b", "a"), package: "demo") }
        #expect(several.error == "no_console_script")
        #expect(several.message.contains("a, b"))
        let none = try #require(throws: ImageBuildFailure.self) { _ = try ConsoleScript.choose(from: [], package: "demo") }
        #expect(none.error == "no_console_script")
    }

    /// A command is looked for in the image, and what the host has beside it is not told.
    @Test(arguments: ["/../outside/tool", "/usr/../../outside/tool", "/usr/./bin/tool", "//usr/bin/tool", "/usr/bin/none"])
    func aCommandOutsideTheImageIsNotFound(word: String) throws {
        let scratch = ImagesScratch()
        try scratch.file("outside/tool", mode: 0o755)
        try scratch.file("tree/usr/bin/tool", mode: 0o755)
        let resolver = CommandResolver(trees: [scratch.path + "/tree"], python: "3.11", package: nil, hasFolder: true)
        #expect(try resolver.resolve(["/usr/bin/tool"], arguments: []) == ["/usr/bin/tool"])
        #expect(throws: ImageBuildFailure.self) { try resolver.resolve([word], arguments: []) }
    }

    @Test func programsOfAWheelAreFound() {
        #expect(PythonLayer.programs("../../bin/mcp-grafana,sha256=x,1\npkg/bin/no.py,,\nbin/tool,,\nbin/../x,,\n") == ["mcp-grafana", "tool"])
    }

    @Test func onlyTheReleasesOwnMirrorsAreTaken() {
        let sources = AptSources.select(
            from: [
                (
                    "debian.sources",
                    """
                    Types: deb deb-src
                    # a comment
                    URIs: http://mirror.example/debian
                    Suites: bookworm bookworm-updates bookworm-backports
                    Components: main contrib
                    Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

                    Types: deb
                    URIs: https://third.example/repo
                    Suites: stable
                    Components: main

                    Enabled: no
                    Types: deb
                    URIs: http://off.example/debian
                    Suites: bookworm
                    Components: main
                    """
                ),
                (
                    "sources.list",
                    "deb [signed-by=/k.gpg arch=amd64] http://m.example/debian bookworm-security main\n"
                        + "# deb x\ndeb-src http://a b main\ndeb http://sdk.example cloud-sdk main"
                ),
                ("old.list.disabled", "deb http://x bookworm main"),
            ], release: "bookworm")
        #expect(sources.lines == ["deb [signed-by=/k.gpg arch=amd64] http://m.example/debian bookworm-security main"])
        #expect(
            sources.stanzas == [
                "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
                    + "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            ])
    }

    @Test func anIndexNamesTheHostsThatBuildsReach() throws {
        #expect(IndexConfiguration.pypi.egress == ["pypi.org:443", "files.pythonhosted.org:443"])
        let local = try IndexConfiguration(url: "http://127.0.0.1:8080/simple/", fileHosts: ["Files.Example", "127.0.0.1:8080"])
        #expect(local.url == "http://127.0.0.1:8080/simple")
        #expect(local.egress == ["127.0.0.1:8080", "files.example:80"])
        for bad in ["ftp://x", "https://", "https://u:p@x/simple", "https://x/a b", "https://x:99999/", "x", "https://x?y"] {
            #expect(throws: ImageBuildFailure.self) { _ = try IndexConfiguration(url: bad) }
        }
    }

    @Test(arguments: [
        (
            "error: No solution found when resolving dependencies\n"
                + "  cause: Because berth-no-such was not found in the package registry and you require berth-no-such, we can conclude",
            "unknown_package"
        ),
        ("Because there is no version of demo==1.2.99 and you require demo==1.2.99, we can conclude", "unknown_version"),
        ("Because only demo<=2026.10.19 is available and you require demo>=99999, we can conclude", "unknown_version"),
        (
            "Because the current Python version (3.11.2) does not satisfy Python>=3.12 and numpy==2.5.0 depends on Python>=3.12, we can conclude",
            "requires_python"
        ),
        ("error: No solution found when resolving dependencies\n Because you require demo and mcp<0.1", "no_solution"),
        ("error: Failed to fetch: `https://pypi.org/simple/demo/`\n cause: tunnel error: unsuccessful", "network"),
        (
            "Failed to build `demo==1.0`\n cause: The build backend returned an error\n cause: Call to `backend.build_wheel` failed\n "
                + "Connection refused",
            "build_failed"
        ),
        ("the job wrote more than 2048 MiB and was ended", "image_too_large"),
        ("No space left on device: the job was ended before it took the last of the disk", "disk_full"),
        ("urlopen error <urlopen error Tunnel connection failed: 403 Forbidden>", "network"),
        ("error: Failed to build `pycrypto==2.6.1`\n cause: The build backend returned an error", "build_failed"),
        ("error: Failed to install: x\n cause: No space left on device (os error 28)", "disk_full"),
        ("whatever", "build_failed"),
    ])
    func theLogOfABuildIsUnderstood(_ log: String, _ error: String) {
        let diagnosis = BuildDiagnosis(package: "demo", python: "3.11", index: .pypi)
        let failure = diagnosis.failure(of: BuildJobResult(exitCode: 20, log: log))
        #expect(failure.error == error)
        #expect(!failure.message.contains("\n") && failure.message.hasSuffix("."))
        #expect(failure.log?.isEmpty == false)
    }

    @Test func theMessagesNameWhatIsMeant() {
        let diagnosis = BuildDiagnosis(package: "numpy", python: "3.11", index: .pypi)
        func message(_ log: String) -> String { diagnosis.failure(of: BuildJobResult(exitCode: 20, log: log)).message }
        #expect(
            message(
                "Because the current Python version (3.11.2) does not satisfy Python>=3.12 and numpy==2.5.0 depends on Python>=3.12, we can conclude")
                == "numpy==2.5.0 needs Python >=3.12 by its requires-python, and images have Python 3.11.")
        #expect(message("Because numpi was not found in the package registry") == "numpy needs numpi, which the package index does not have.")
        #expect(message("error: Failed to build `pycrypto==2.6.1`") == "pycrypto==2.6.1 could not be built from source.")
        #expect(diagnosis.failure(of: BuildJobResult(exitCode: -1, log: "", timedOut: true)).error == "timeout")
        #expect(diagnosis.failure(of: BuildJobResult(exitCode: -1, log: "", outOfMemory: true)).error == "out_of_memory")
        #expect(BuildDiagnosis.tail("\u{1B}[31mred\u{1B}[0m\n") == "[31mred[0m")
    }

    @Test func theBuilderIsTheOneThatTheListNames() throws {
        let path = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let list = try #require(Files.read("/" + path + "/images/builder.lock"))
        let pin = BuilderPin.current
        #expect(list.contains("\(pin.project)==\(pin.version) \(pin.file) sha256:\(pin.sha256) \(pin.member) sha256:\(pin.memberSHA256)\n"))
        let recipe = try #require(Files.read("/" + path + "/images/base.packages"))
        #expect(recipe.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init) == BaseRecipe.packages)
    }
}
