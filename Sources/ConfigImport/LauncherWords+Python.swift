extension LauncherWords {
    private static let indexRemedy = "packages come from the one index that this host builds from: berth up --package-index URL"

    private static let uvOptions: [(spellings: String, kind: Options.Kind)] = [
        ("--from", .value), ("--with -w", .value), ("--python -p", .value), ("--directory --project", .value), ("--module -m", .flag),
        ("--with-requirements", .refused("name the packages by --with")),
        ("--with-editable --editable", .refused("a folder goes by berth connector add NAME --dir DIR -- COMMAND")),
        ("--index-url --index --default-index --extra-index-url --find-links -i -f", .refused(indexRemedy)),
        ("--env-file", .refused("write its lines into env")),
        (
            "--python-preference --prerelease --resolution --cache-dir --color --exclude-newer --link-mode --group --extra --constraints --constraint -c --package --index-strategy",
            .ignoredWithValue
        ),
        (
            "--quiet -q --verbose -v --isolated --no-cache --refresh --offline --upgrade -U --reinstall --native-tls --system-certs --no-progress --no-project --active --frozen --locked --no-sync --no-config --managed-python --no-managed-python --no-env-file --all-extras --no-dev --script -s --exact",
            .ignored
        ),
    ]

    func uvx(_ rest: inout Options) throws(Refusal) -> Launch {
        let options = try rest.take(Self.uvOptions)
        if let folder = options.last(where: { $0.name == "--directory" }), surroundings.look(folder.value.text) == .directory,
            options.contains(where: { $0.name == "--module" })
        {
            throw Refusal("uvx runs a folder", "berth connector add NAME --dir DIR -- COMMAND")
        }
        let first = try rest.next("package")
        let from = options.last { $0.name == "--from" }?.value.text
        let with = options.filter { $0.name == "--with" }.flatMap { $0.value.text.split(separator: ",").map(String.init) }
        return try package(
            from ?? first.text, command: from == nil ? nil : first.text, with: with, rest.words,
            python: options.last { $0.name == "--python" }?.value.text)
    }

    func uv(_ rest: inout Options) throws(Refusal) -> Launch {
        let before = try rest.take(Self.uvOptions)
        let verb = try rest.next("command").text
        switch verb {
        case "run": return try uvRun(before, &rest)
        case "tool":
            let second = try rest.next("command").text
            guard ["run", "x"].contains(second) else { throw Refusal("uv tool \(Looks.brief(second, 32)) starts no server", "uvx PACKAGE starts one") }
            return try uvx(&rest)
        case "x": return try uvx(&rest)
        default: throw Refusal("uv \(Looks.brief(verb, 32)) starts no server", "uvx PACKAGE or uv run FILE starts one")
        }
    }

    /// `uv run [--with X] [--directory D] SCRIPT|COMMAND`: a folder of the client's.
    private func uvRun(_ before: [Options.Found], _ rest: inout Options) throws(Refusal) -> Launch {
        let options = before + (try rest.take(Self.uvOptions))
        let with = options.filter { $0.name == "--with" }.flatMap { $0.value.text.split(separator: ",").map(String.init) }
        let folder = options.last { $0.name == "--directory" }?.value.text ?? directory
        let isModule = options.contains { $0.name == "--module" }
        let first = try rest.next("program")
        var words = rest.words
        if isModule { return try module(first.text, words, folder: folder, with: with) }
        if Self.isPython(Self.base(first.text)) {
            var options = Options(words: words, launcher: "python")
            return try python(&options, interpreter: first.text, folder: folder, with: with)
        }
        // What the SDKs' own `install` writes: `mcp run FILE`, `fastmcp run FILE[:OBJECT]`.
        if ["mcp", "fastmcp"].contains(first.text), words.first?.text == "run", words.count > 1 {
            let (path, object) = Self.split(try words[1].shown("the file"))
            let place = try script(path, in: folder)
            words.removeFirst(2)
            return Launch(
                source: .folder(place.folder, requirements: try requirements(of: place.folder, with: with)),
                command: [first.text, "run", place.name + object],
                arguments: words, launcher: .none)
        }
        if first.text.hasSuffix(".py") { return try script(first.text, words, folder: folder, with: with) }
        guard let folder, folder.hasPrefix("/") else {
            // Outside of a project it is a command of what --with names.
            if let package = with.first { return try self.package(package, command: first.text, with: Array(with.dropFirst()), words) }
            throw Refusal("uv run \(Looks.brief(first.text, 64)) is a command of a project, and none is named", "add --directory DIR, or use uvx PACKAGE")
        }
        throw Refusal(
            "uv run \(Looks.brief(first.text, 64)) is a command of the project in \(folder)",
            "in it: uv export --no-hashes --no-emit-project > requirements.txt; then berth connector add NAME --dir \(folder) --requirements \(folder)/requirements.txt -- python3 -m MODULE"
        )
    }

    private static func split(_ text: String) -> (path: String, object: String) {
        guard let colon = text.lastIndex(of: ":"), text[..<colon].hasSuffix(".py") else { return (text, "") }
        return (String(text[..<colon]), String(text[colon...]))
    }

    func pipx(_ rest: inout Options) throws(Refusal) -> Launch {
        let verb = try rest.next("command").text
        guard verb == "run" else { throw Refusal("pipx \(Looks.brief(verb, 32)) starts no server", "pipx run PACKAGE starts one") }
        let options = try rest.take([
            ("--spec", .value), ("--with", .value), ("--python", .value), ("--index-url -i", .refused(Self.indexRemedy)),
            ("--pip-args", .refused("leave them out: packages are resolved and locked once")),
            ("--no-cache --quiet -q --verbose -v --system-site-packages", .ignored),
        ])
        let first = try rest.next("package")
        let spec = options.last { $0.name == "--spec" }?.value.text
        let with = options.filter { $0.name == "--with" }.map(\.value.text)
        return try package(
            spec ?? first.text, command: spec == nil ? nil : first.text, with: with, rest.words,
            python: options.last { $0.name == "--python" }?.value.text)
    }

    /// `python [-u] -m MODULE`, `python FILE`.
    func python(_ rest: inout Options, interpreter: String, folder: String? = nil, with: [String] = []) throws(Refusal) -> Launch {
        let options = try rest.take(
            [
                ("-m", .value), ("-c", .refused("write the code into a file of a folder: --dir DIR -- python3 FILE")),
                ("-u -B -E -I -O -OO -P -s -S -q -v -b", .ignored),
                ("-W -X", .ignoredWithValue),
            ], endingBehind: "-m")
        if let name = options.last(where: { $0.name == "-m" })?.value.text { return try module(name, rest.words, folder: folder, with: with) }
        return try script(try rest.next("file").text, rest.words, folder: folder, with: with)
    }

    // MARK: Packages, modules, scripts

    /// - Parameter command: one of the package's, where it is not the package's own.
    private func package(_ given: String, command: String?, with: [String], _ words: [Word], python: String? = nil) throws(Refusal) -> Launch {
        let spec = try Self.requirement(given)
        var more: [String] = []
        for text in with where !text.isEmpty { more.append(try Self.requirement(text.trimmed)) }
        let name = String(spec.prefix { !"[=<>!~; ".contains($0) })
        var launch = Launch(source: .pypi(spec, with: more), arguments: words, launcher: .pythonProgram(command ?? name))
        if let command, Self.normal(command) != Self.normal(name) { launch.command = [command] }
        if let python { launch.remarks.append("asks for Python \(python.prefix(16)); its image has the base system's") }
        return launch
    }

    /// As the index's tools take it, of what uv takes: `name@1.2`, `name@latest` too.
    static func requirement(_ text: String) throws(Refusal) -> String {
        if text.contains("://") || text.hasPrefix("git+") || text.contains(" @ ") {
            throw Refusal(
                "\(text.prefix { $0 != ":" && $0 != "+" && $0 != " " }.prefix(32))… is an address, and packages come from the index only",
                "name a released version: NAME==VERSION")
        }
        // What begins with a dash is an option of the index's tools, or of the server's.
        guard !text.split(whereSeparator: \.isWhitespace).contains(where: { $0.hasPrefix("-") }) else {
            throw Refusal("several words stand in the place of one package", "write each word into args by itself")
        }
        if text.hasPrefix("/") || text.hasPrefix(".") || text.hasPrefix("~") || text.hasSuffix(".whl") {
            throw Refusal("a package of the client's own disk is started", "berth connector add NAME --dir DIR --requirements FILE -- COMMAND")
        }
        guard let at = text.firstIndex(of: "@") else { return text }
        let (name, version) = (text[..<at], text[text.index(after: at)...])
        return version == "latest" || version.isEmpty ? String(name) : "\(name)==\(version)"
    }

    private static func normal(_ name: String) -> String { name.lowercased().replacing("_", with: "-").replacing(".", with: "-") }

    private func module(_ name: String, _ words: [Word], folder: String?, with: [String]) throws(Refusal) -> Launch {
        guard name.utf8.count <= 256, name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy({ Variable.isName($0) }) else {
            throw Refusal("python -m is told no module", "for example -m mcp_server_time")
        }
        let first = String(name.prefix { $0 != "." })
        if let folder = folder ?? directory, folder.hasPrefix("/"),
            surroundings.look("\(folder)/\(first)") == .directory || surroundings.has("\(folder)/\(first).py")
        {
            return Launch(
                source: .folder(try Self.whole(folder), requirements: try requirements(of: folder, with: with)), command: ["python3", "-m", name],
                arguments: words,
                launcher: .pythonModule(name))
        }
        var more: [String] = []
        for text in with where !text.isEmpty { more.append(try Self.requirement(text.trimmed)) }
        var launch = Launch(
            source: .pypi(first.replacing("_", with: "-"), with: more), command: ["python3", "-m", name], arguments: words,
            launcher: .pythonModule(name))
        launch.remarks.append("the package of the module \(first) is taken to be \(first.replacing("_", with: "-"))")
        return launch
    }

    private func script(_ path: String, _ words: [Word], folder: String?, with: [String]) throws(Refusal) -> Launch {
        let place = try script(path, in: folder)
        return Launch(
            source: .folder(place.folder, requirements: try requirements(of: place.folder, with: with)), command: ["python3", place.name],
            arguments: words,
            launcher: .pythonScript(place.name))
    }

    /// The folder that goes into the image, and the file in it.
    func script(_ path: String, in folder: String?) throws(Refusal) -> (folder: String, name: String) {
        guard let full = absolute(path, in: folder) else {
            throw Refusal("\(Looks.brief(path, 64)) is a file of the client's, in a folder that is not named", "write its whole path, or a cwd")
        }
        guard case .text = surroundings.look(full) else {
            throw Refusal("\(Looks.brief(full, 200)) is no file of this host", "copy its folder here, or write the path that it has here")
        }
        // A script below the folder that is named keeps its place in it.
        if let base = folder ?? directory, base.hasPrefix("/"), full.hasPrefix(base + "/"), !full.dropFirst(base.count + 1).contains("..") {
            return (try Self.whole(base), String(full.dropFirst(base.count + 1)))
        }
        let slash = full.lastIndex(of: "/") ?? full.startIndex
        return (try Self.whole(String(full[..<slash])), String(full[full.index(after: slash)...]))
    }

    /// Not somebody's everything.
    private static func whole(_ folder: String) throws(Refusal) -> String {
        if let problem = ImportPlan.problem(ofFolder: folder) { throw problem }
        return folder
    }

    private func requirements(of folder: String, with: [String]) throws(Refusal) -> ImportPlan.Source.Requirements? {
        let file = folder + "/requirements.txt"
        if surroundings.has(file) {
            guard with.isEmpty else { throw Refusal("the folder has a requirements.txt, and --with names more", "write all into requirements.txt") }
            return .file(file)
        }
        if !with.isEmpty {
            var list: [String] = []
            for text in with { list.append(try Self.requirement(text.trimmed)) }
            return .list(list)
        }
        guard !surroundings.has(folder + "/pyproject.toml") else {
            throw Refusal(
                "the folder \(folder) is a project without a requirements.txt",
                "in it: uv export --no-hashes --no-emit-project > requirements.txt; then import again")
        }
        return nil
    }
}

extension String {
    fileprivate var trimmed: String { String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()) }
}
