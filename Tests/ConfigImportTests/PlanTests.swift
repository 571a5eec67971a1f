import JSONText
import Testing

@testable import ConfigImport

/// One server each, as command and arguments.
@Suite struct PlanTests {
    private static let disk = Surroundings { path in
        switch path {
        case "/srv/app", "/srv/app/pkg", "/home/ada", "/home/ada/proj", "/srv/uvproject": .directory
        case "/srv/app/server.py", "/srv/app/sub/run.py", "/home/ada/server.py", "/srv/uvproject/pyproject.toml", "/srv/uvproject/main.py":
            .text(interpreter: "")
        case "/srv/app/tool": .text(interpreter: "/usr/bin/python3")
        case "/srv/app/start.sh": .text(interpreter: "/bin/bash")
        case "/srv/venv/bin/mcp-x": .text(interpreter: "/srv/venv/bin/python")
        case "/srv/venv/pyvenv.cfg": .text(interpreter: "")
        case "/srv/grafana": .program
        default: .nothing
        }
    }

    private static func line(_ words: String, cwd: String? = nil, registry: String? = nil) throws -> String {
        let list = words.split(separator: " ").map(String.init)
        let process = ImportFile.Process(command: list[0], arguments: Array(list.dropFirst()), directory: cwd)
        var file = try ImportFile(parsing: Array(#"{"mcpServers":{"x":{"command":"y"}}}"#.utf8), file: "f")
        file.servers[0].start = .process(process)
        return ClientFilesTests.lines(ImportPlan(file, registry: registry, surroundings: disk))[0]
    }

    @Test(arguments: [
        ("uvx mcp-server-time@2026.1.1 --x", #"x: --pypi mcp-server-time==2026.1.1 [] ["--x"] [] [] []"#),
        ("uvx mcp-server-time@latest", "x: --pypi mcp-server-time [] [] [] [] []"),
        ("/root/.local/bin/uvx -q --python=3.12 a[b]==1", "x: --pypi a[b]==1 [] [] [] [] []"),
        ("uvx --with pandas,numpy --with=mcp[cli] a", "x: --pypi a --with pandas --with numpy --with mcp[cli] [] [] [] [] []"),
        ("uvx --from a-tools a-server -v", #"x: --pypi a-tools ["a-server"] ["-v"] [] [] []"#),
        ("uv tool run --from a_b a-b", "x: --pypi a_b [] [] [] [] []"),
        ("uvx git+https://host.example/x", "x: no: git… is an address, and packages come from the index only"),
        ("uvx ./here", "x: no: a package of the client's own disk is started"),
        ("uvx --index-url https://u:p@x.example a", "x: no: uvx --index-url cannot be had"),
        ("uvx --new-option a", "x: no: uvx has an option that is not known here: --new-option"),
        ("uvx", "x: no: uvx is told no package"),
        ("uvx --from", "x: no: uvx --from has no value"),
        ("pipx run a==2 b", #"x: --pypi a==2 [] ["b"] [] [] []"#),
        ("pipx install a", "x: no: pipx install starts no server"),
        ("python -m a_b.c d", #"x: --pypi a-b ["python3", "-m", "a_b.c"] ["d"] [] [] []"#),
        ("python3.12 -c print(1)", "x: no: python3.12 -c cannot be had"),
        ("/srv/venv/bin/python /srv/app/server.py --x", #"x: --dir /srv/app ["python3", "server.py"] ["--x"] [] [] []"#),
        ("python /home/ada/server.py", "x: no: its file lies in /home/ada, all of which would go into an image"),
        ("python server.py", "x: no: server.py is a file of the client's, in a folder that is not named"),
        ("uv --directory /srv/uvproject run main.py", "x: no: the folder /srv/uvproject is a project without a requirements.txt"),
        ("uv run --directory /srv/uvproject my-server", "x: no: uv run my-server is a command of the project in /srv/uvproject"),
        ("uv run --with a-b a-server", #"x: --pypi a-b ["a-server"] [] [] [] []"#),
        ("npx -y a@1 --port 3", #"x: --npm a@1 [] ["--port", "3"] [] [] []"#),
        ("npx --package=@s/a@^2 a", "x: --npm @s/a@^2 [] [] [] [] []"),
        ("npm exec --yes -- a --b", #"x: --npm a [] ["--b"] [] [] []"#),
        ("npm exec a -- --b", #"x: --npm a [] ["--b"] [] [] []"#),
        ("bunx a", "x: --npm a [] [] [] [] []"),
        ("pnpm dlx a", "x: --npm a [] [] [] [] []"),
        ("npm start", "x: no: npm start runs a project of the client's host"),
        ("npx github:o/r", "x: no: npx starts something that is no package of the registry"),
        ("npx -c echo", "x: no: npx --call cannot be had"),
        (
            "docker run -it --rm -m 512m --cpus=0.5 -eTZ=UTC -e K=abcdefgh --name n r.example/a:1 serve",
            #"x: --oci r.example/a:1 [] ["serve"] ["TZ=UTC"] ["K"] []"#
        ),
        ("docker run -i --rm mcp/time", "x: no: mcp/time names no registry"),
        ("docker run -v /home/ada:/data r.example/a", "x: no: docker run --volume cannot be had"),
        ("docker run --mount=type=bind r.example/a", "x: no: docker run --mount cannot be had"),
        ("podman run --network host r.example/a", "x: no: podman run --network cannot be had"),
        ("docker run -p 80:80 r.example/a", "x: no: docker run --publish cannot be had"),
        ("docker run --privileged r.example/a", "x: no: docker run --privileged cannot be had"),
        ("docker compose up", "x: no: docker compose starts no image"),
        (
            "docker run r.example/a --api-key=abcdefgh",
            "x: no: a secret stands among its arguments (--api-key), which everybody on this host could read in the process list"
        ),
        ("/srv/grafana -t stdio", #"x: --binary /srv/grafana [] ["-t", "stdio"] [] [] []"#),
        ("/srv/app/tool a", #"x: --dir /srv/app ["python3", "tool"] ["a"] [] [] []"#),
        ("/srv/app/start.sh", "x: no: /srv/app/start.sh is a script of bash, which images of folders have not"),
        ("/srv/venv/bin/mcp-x", "x: no: /srv/venv/bin/mcp-x starts a package of a virtual environment"),
        ("/srv/nothing", "x: no: /srv/nothing is not on this host"),
        ("/srv/app", "x: no: /srv/app is a directory"),
        ("my-server", "x: no: my-server is a program of the client's host"),
        (#"C:\tools\server.exe"#, "x: no: its command is a path of Windows"),
        ("bash -c x", "x: no: bash runs a line of its own"),
    ])
    func aCommandLine(words: String, line: String) throws { #expect(try Self.line(words) == line) }

    @Test func aFolderAndARegistryThatAreNamed() throws {
        #expect(try Self.line("python sub/run.py", cwd: "/srv/app") == #"x: --dir /srv/app ["python3", "sub/run.py"] [] [] [] []"#)
        #expect(try Self.line("python -m pkg.run", cwd: "/srv/app") == #"x: --dir /srv/app ["python3", "-m", "pkg.run"] [] [] [] []"#)
        #expect(try Self.line("docker run mcp/time", registry: "r.example") == "x: --oci r.example/mcp/time [] [] [] [] []")
        #expect(try Self.line("docker run time:1", registry: "r.example") == "x: --oci r.example/library/time:1 [] [] [] [] []")
    }

    /// Words of a command line that are hidden, and words that are none of our business.
    @Test(arguments: [
        ("--api-key=abcdefgh", ["--api-key=${secret:ARG_API_KEY}"]), ("--api-key abcdefgh", ["--api-key", "${secret:ARG_API_KEY}"]),
        ("-k sk-0123456789abcdef", ["-k", "${secret:ARG_K}"]), ("ghp_0123456789abcdefABCDEF0123456789abcd", ["${secret:ARG_1}"]),
        ("--header Authorization:Bearer_abc", ["--header", "${secret:ARG_HEADER}"]), ("API_TOKEN=abcdefgh", ["API_TOKEN=${secret:ARG_API_TOKEN}"]),
        ("redis://:pw@h.example/0", ["${secret:ARG_1}"]), ("https://hooks.example.com/T012/aB3dE5fG7hI9jK1lM3", ["${secret:ARG_1}"]),
        ("--password 1234", ["--password", "${secret:ARG_PASSWORD}"]),
        ("--token a --token b", ["--token", "${secret:ARG_TOKEN}", "--token", "${secret:ARG_TOKEN_2}"]),
        ("123e4567-e89b-12d3-a456-426614174000", ["${secret:ARG_1}"]), ("--url=https://x.example/?api_key=abc", ["--url=${secret:ARG_URL}"]),
        ("--pass hunter", ["--pass", "${secret:ARG_PASS}"]), ("--user ada:hunter", ["--user", "${secret:ARG_USER}"]),
        ("-u 1000:1000", ["-u", "1000:1000"]), ("Server=db;Uid=sa;Pwd=hunter", ["${secret:ARG_1}"]),
        (#"--config={"apiKey":"hunter"}"#, ["--config=${secret:ARG_CONFIG}"]), (#"--config {"level":"high","on":true}"#, ["--config", #"{"level":"high","on":true}"#]),
        ("-ghp_0123456789abcdefABCDEF0123456789abcd next", ["${secret:ARG_1}", "next"]),
        ("--max-tokens 4096", ["--max-tokens", "4096"]), ("--auth none", ["--auth", "none"]), ("--auth-type bearer", ["--auth-type", "bearer"]),
        ("--no-auth serve", ["--no-auth", "serve"]), ("--key-file /srv/key", ["--key-file", "/srv/key"]),
        ("--url https://x.example/a", ["--url", "https://x.example/a"]),
        ("--local-timezone=America/Argentina/Buenos_Aires", ["--local-timezone=America/Argentina/Buenos_Aires"]),
        ("postgresql://localhost/shop", ["postgresql://localhost/shop"]),
        ("--model claude-3-5-sonnet-20241022", ["--model", "claude-3-5-sonnet-20241022"]),
    ])
    func words(text: String, hidden: [String]) {
        var hider = ArgumentSecrets(taken: [])
        #expect(hider.hide(text.split(separator: " ").map { Recognition.Word(text: String($0)) }) == hidden)
        #expect(hider.found.count == hidden.count { $0.contains("${secret:") })
    }

    /// What a placeholder stands for is a secret: it is in no place that is shown, looked up elsewhere, or kept in clear.
    @Test(arguments: [
        "${env:K}", "uvx ${env:K}", "uvx a@${env:K}", "uvx --from ${env:K} a", "uvx --with=${env:K} a", "uvx --python ${env:K} a", "uvx --${env:K} a",
        "uvx -w${env:K} a", "uv ${env:K}", "uv tool ${env:K}", "uv run ${env:K}", "uv run --directory /srv/${env:K} x.py", "uv run --with a-b ${env:K}",
        "uv run mcp run ${env:K}", "pipx run ${env:K}", "pipx ${env:K} a", "python -m ${env:K}", "python /srv/${env:K}", "/srv/${env:K}", "python -m a --${env:K}=v",
        "npx ${env:K}", "npx a@${env:K}", "npx -p ${env:K} a", "npm ${env:K}", "docker run r.example/${env:K}/a", "docker run ${env:K}/a",
        "docker run -e ${env:K}=v r.example/a", "docker run -e${env:K}=v r.example/a", "docker run --entrypoint ${env:K} r.example/a",
        "docker run -m ${env:K} r.example/a", "docker ${env:K} a", "docker run r.example/a ${env:K}", "uvx a --${env:K} next", "uvx a --${env:K}=v",
        "uvx a ${env:K}=v", "uvx a X${env:K}=v", "uvx a -x${env:K} next", "npx a ${env:K}",
    ])
    func aPlaceholderIsNowhereInClear(words: String) throws {
        let secret = "hunter2Hunter2"
        for value in [secret, "--" + secret, "ghp_0123456789abcdefABCDEF0123456789abcd"] {
            let list = words.split(separator: " ").map(String.init)
            var file = try ImportFile(parsing: Array(#"{"mcpServers":{"x":{"command":"y"}}}"#.utf8), file: "f")
            file.servers[0].start = .process(ImportFile.Process(command: list[0], arguments: Array(list.dropFirst())))
            let plan = ImportPlan(file, values: [Placeholder(.environment, "K"): value], surroundings: Self.disk)
            let told = Self.told(plan)
            #expect(!told.lowercased().contains(value.drop { $0 == "-" }.lowercased()), "\(told)")
        }
    }

    /// Everything of a plan that is shown or kept in clear.
    private static func told(_ plan: ImportPlan) -> String {
        plan.items.map { item in
            switch item.outcome {
            case .disabled: return ""
            case .refused(let refusal): return "no: \(refusal.reason) — \(refusal.remedy)"
            case .connector(let connector):
                return [connector.source.text, "\(connector.command)", "\(connector.arguments)", "\(connector.environment)", "\(connector.secrets.keys)", "\(connector.egress)", "\(connector.remarks)"].joined(separator: "\n")
            }
        }.joined()
    }

    /// A secret typed where no secret belongs: not shown, and never the name of something that is looked up.
    @Test(arguments: [
        ["uvx mcp-server-git --token S"], ["/opt/x/foo --api-key S"], ["uvx", "mcp-server-git --token S"], ["npx", "-y", "pkg --token S"], ["npx", "pkg@S"],
        ["uvx", "a@S"], ["uvx", "--with", "b@S", "a"], ["uvx", "--from", "pkg @ https://u:S@h/x.whl", "x"], ["uvx", "--S", "a"], ["uvx", "-zS", "a"],
        ["docker", "run", "user:S@reg.example/img"], ["docker", "run", "S@reg.example"], ["docker", "run", "reg.example/S/img"],
        ["docker", "run", "reg.example/img --token S"], ["docker", "S"], ["uv", "S"], ["npm", "S"], ["pipx", "S"], ["uv", "run", "S"],
        ["uv", "run", "--directory", "/srv/app", "S"], ["python3", "S.py"], ["python3", "/srv/S.py"], ["/srv/S"], ["S"],
    ])
    func aSecretInTheWrongPlace(words: [String]) throws {
        let secret = "ghp_0123456789abcdefABCDEF0123456789abcd"
        let list = words.map { $0.replacing("S", with: secret) }
        var file = try ImportFile(parsing: Array(#"{"mcpServers":{"x":{"command":"y"}}}"#.utf8), file: "f")
        file.servers[0].start = .process(ImportFile.Process(command: list[0], arguments: Array(list.dropFirst())))
        let told = Self.told(ImportPlan(file, surroundings: Self.disk))
        #expect(told.hasPrefix("no: ") && !told.contains("0123456789"), "\(told)")
    }

    /// What is no secret stays usable: a home, a default that the file has, an input that is asked for openly.
    @Test func placeholdersThatAreNoSecrets() throws {
        let text = #"""
            {"servers": {"a": {"command": "uvx", "args": ["x@${VERSION:-1.2}", "--zone", "${input:zone}"]},
                         "b": {"command": "python", "args": ["${env:HOME}/proj/run.py"], "cwd": "${HOME}/proj"}},
             "inputs": [{"id": "zone", "password": false}]}
            """#
        let disk = Surroundings { ["/home/ada/proj/run.py": .text(interpreter: ""), "/home/ada/proj": .directory][$0] ?? .nothing }
        let plan = ImportPlan(
            try ImportFile(parsing: Array(text.utf8), file: "f"),
            values: [Placeholder(.environment, "HOME"): "/home/ada", Placeholder(.input, "zone"): "UTC"], surroundings: disk)
        #expect(
            ClientFilesTests.lines(plan) == [
                #"a: --pypi x==1.2 [] ["--zone", "UTC"] [] [] []"#, #"b: --dir /home/ada/proj ["python3", "run.py"] [] [] [] []"#,
            ])
    }

    /// Names of versions and images that are long, and no tokens.
    @Test(arguments: [
        "mcp-server-time==2026.1.1", "@modelcontextprotocol/server-everything@1.0.0-canary.20240101", "pandas>=2,<3; python_version >= '3.11'",
        "r.example/a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "r.example/a:sha-0123456789abcdef0123456789abcdef01234567",
        "awslabs.amazon-bedrock-agentcore-mcp-server", "sk-learn-extensions", "hf_transfer_tools_for_everybody",
    ])
    func namesThatAreNoTokens(text: String) { #expect(!Looks.holdsToken(text)) }

    /// One line of a file would join a folder that root can read, a package of whoever wrote it, and a way out.
    @Test func aFolderWithPackagesOfTheFilesOwnGetsNoWayOut() throws {
        let line = try Self.line("uv run --with stranger --directory /srv/app server.py --api=https://evil.example.com")
        #expect(line == #"x: --dir /srv/app with stranger ["python3", "server.py"] ["--api=https://evil.example.com"] [] [] []"#)
        #expect(try Self.line("python /srv/app/server.py --api=https://api.example.com").hasSuffix(#"["api.example.com"]"#))
    }

    @Test(arguments: [
        "/etc/ssh", "/etc/pam.d/x", "/proc/self", "/sys/x", "/dev/shm", "/run/berth", "/var/lib/berth/gateway", "/var/run/x", "/var/log/x", "/boot/x", "/./etc/x",
        "/", "/home", "/home/ada", "/home/ada/.ssh", "/home/ada/x/../../bob", "/root", "/var",
    ])
    func aFolderThatIsNobodysServer(folder: String) { #expect(ImportPlan.problem(ofFolder: folder) != nil) }

    @Test(arguments: ["/home/ada/proj", "/srv/app", "/opt/x/y", "/var/www/x", "/var/tmp/x", "/etcetera/x", "/root/x"])
    func aFolderThatMayBe(folder: String) { #expect(ImportPlan.problem(ofFolder: folder) == nil) }

    @Test(arguments: [
        ("LOG_LEVEL", "debug", true), ("DEBUG", "true", true), ("PORT", "3000", true), ("AWS_REGION", "us-east-1", true),
        ("X_URL", "https://a.example/v1", true),
        ("X_URL", "https://u:p@a.example", false), ("X_URL", "https://a.example/?q=1", false), ("ANYTHING", "else", false),
        ("API_KEY", "true", false),
        ("PASSWORD", "1", false), ("HOME", "/home/ada", true), ("CODE", "ghp_0123456789abcdefABCDEF0123456789abcd", false), ("EMPTY_KEY", "", true),
        ("MAX_TOKENS", "4096", true),
    ])
    func aVariable(name: String, value: String, isPlain: Bool) { #expect(Looks.isPlain(name, value) == isPlain) }

    @Test(arguments: [
        ("a.example", false), ("https://API.Example.com/x?y", true), ("http://localhost:3000", false), ("http://10.0.0.1/", false),
        ("http://db.internal", false),
        ("https://a.example:70000", false), ("https://[::1]/", false), ("https://x.local", false),
    ])
    func aHostThatAnybodyCanLookUp(text: String, isPublic: Bool) { #expect((WebAddress(text)?.isPublicName ?? false) == isPublic) }

    @Test(arguments: [
        ("GitHub", "github"), ("brave search", "brave-search"), ("@scope/x_y", "scope-x-y"), ("2fa", "s-2fa"), ("日本", "server"), ("", "server"),
        ("a", "a-2"),
        ("a-name-that-is-far-longer-than-any-name", "a-name-that-is-far-longer-than-a"),
    ])
    func aName(given: String, name: String) { #expect(ConnectorName.make(given, besides: ["a"]) == name) }
}
