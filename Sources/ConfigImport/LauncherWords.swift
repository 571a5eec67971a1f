/// The command line of a client's server, read word by word.
struct LauncherWords {
    typealias Word = Recognition.Word
    typealias Launch = Recognition.Launch

    let words: [Word]
    /// Where the client runs it.
    let directory: String?
    let registry: String?
    let surroundings: Surroundings

    func launch() throws(Refusal) -> Launch {
        var words = words
        // Windows' way to find a script: `cmd /c npx …`.
        if let first = words.first, ["cmd", "cmd.exe"].contains(Self.base(first.text).lowercased()), words.count > 2,
            words[1].text.lowercased() == "/c"
        {
            words.removeFirst(2)
        }
        guard let first = words.first else { throw Refusal("it has no command", ImportFile.example) }
        let program = Self.base(try first.shown("the command"))
        var rest = Options(words: Array(words.dropFirst()), launcher: program)
        switch program {
        case "uvx": return try uvx(&rest)
        case "uv": return try uv(&rest)
        case "pipx": return try pipx(&rest)
        case "npx", "bunx": return try npx(&rest)
        case "npm", "pnpm", "yarn", "bun": return try npm(program, &rest)
        case "docker", "podman", "nerdctl": return try docker(&rest)
        case "node", "deno", "tsx", "ts-node":
            throw Refusal(
                "\(program) runs a program of the client's host, and images of folders have no Node",
                "name its package, if it has one: npx -y PACKAGE; or make an OCI image of it: berth connector add NAME --oci IMAGE")
        case "sh", "bash", "zsh", "dash", "fish", "pwsh", "powershell", "powershell.exe", "cmd", "cmd.exe", "env", "sudo", "wsl", "wsl.exe":
            throw Refusal("\(program) runs a line of its own", "write the program itself as command, and each word of its line into args")
        default: break
        }
        if Self.isPython(program) { return try python(&rest, interpreter: first.text) }
        return try local(first.text, rest.words)
    }

    /// A program's name without its folder and Windows' ending.
    static func base(_ path: String) -> String {
        let name = path.split(whereSeparator: { $0 == "/" || $0 == "\\" }).last.map(String.init) ?? path
        for ending in [".exe", ".cmd"] where name.lowercased().hasSuffix(ending) { return String(name.dropLast(4)) }
        return name
    }

    static func isPython(_ name: String) -> Bool {
        guard name.hasPrefix("python") else { return false }
        return name.dropFirst(6).allSatisfy { $0.isNumber || $0 == "." }
    }

    /// An absolute path of what the command line names.
    func absolute(_ path: String, in folder: String? = nil) -> String? {
        if path.hasPrefix("/") { return path }
        guard let folder = folder ?? directory, folder.hasPrefix("/"), !path.isEmpty, !path.hasPrefix("~") else { return nil }
        return folder + "/" + (path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
    }
}

/// A launcher's own options, up to what it launches.
struct Options {
    typealias Word = Recognition.Word

    private(set) var words: [Word]
    let launcher: String

    init(words: [Word], launcher: String) {
        self.words = words
        self.launcher = launcher
    }

    enum Kind: Equatable {
        /// Says nothing that matters here.
        case ignored, ignoredWithValue
        /// Is asked for.
        case flag, value
        /// Is asked for, and may be a secret: every other one is shown and looked up.
        case variable
        /// Cannot be had: what to do instead.
        case refused(String)
    }

    struct Found: Equatable {
        /// As ``Kind`` is listed: the longest of its spellings.
        var name: String
        var value: Word
    }

    /// Takes options up to the first word that is none.
    ///
    /// - Parameters:
    ///   - table: spellings, apart by blanks, the one that is told first.
    ///   - last: an option behind whose value everything is the server's.
    /// - Returns: those of kind `flag` and `value`, in order.
    mutating func take(_ table: [(spellings: String, kind: Kind)], endingBehind last: String? = nil) throws(Refusal) -> [Found] {
        var found: [Found] = []
        while let first = words.first, first.text.hasPrefix("-"), first.text != "-" {
            words.removeFirst()
            if first.text == "--" { break }
            let given = first.text.prefix { $0 != "=" }
            // Of a short option its value may follow at once.
            let isShort = !first.text.hasPrefix("--")
            if let place = first.filledAt, place < (isShort ? 2 : given.utf8.count) { _ = try first.shown("an option of \(launcher)") }
            guard let row = table.first(where: { $0.spellings.split(separator: " ").contains(given[...]) }) else {
                // Short flags in one word (`-it`), and a short option with its value (`-eK=V`).
                if isShort, first.text.count > 2 {
                    let short = String(first.text.prefix(2))
                    let rest = first.dropping(short.utf8.count)
                    if let row = table.first(where: { $0.spellings.split(separator: " ").contains(short[...]) }) {
                        switch row.kind {
                        case .ignored, .flag: words.insert(Word(text: "-" + rest.text, filledAt: rest.filledAt.map { $0 + 1 }), at: 0)
                        default: words.insert(rest, at: 0)
                        }
                        words.insert(Word(text: short), at: 0)
                        continue
                    }
                }
                throw Refusal(
                    "\(launcher) has an option that is not known here: \(isShort ? String(given.prefix(2)) : Looks.brief(given, 40))",
                    "leave it out, if the server does without")
            }
            let name = String(row.spellings.prefix { $0 != " " })
            let attached = given.endIndex == first.text.endIndex ? nil : first.dropping(given.utf8.count + 1)
            switch row.kind {
            case .ignored: continue
            case .flag: found.append(Found(name: name, value: Word(text: "")))
            case .refused(let remedy): throw Refusal("\(launcher) \(name) cannot be had", remedy)
            case .ignoredWithValue, .value, .variable:
                var value = first
                if let attached {
                    value = attached
                } else {
                    guard let next = words.first else { throw Refusal("\(launcher) \(name) has no value", "write it behind the option") }
                    words.removeFirst()
                    value = next
                }
                if row.kind == .value { _ = try value.shown("\(launcher) \(name)") }
                if row.kind != .ignoredWithValue { found.append(Found(name: name, value: value)) }
                if name == last { return found }
            }
        }
        return found
    }

    /// The next word.
    mutating func next(_ what: String) throws(Refusal) -> Word {
        guard let first = words.first else { throw Refusal("\(launcher) is told no \(what)", "write it into args") }
        words.removeFirst()
        _ = try first.shown("the \(what)")
        return first
    }
}
